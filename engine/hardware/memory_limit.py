"""Find how much memory this process may use: the limit of its cgroup, its own, or the machine's.

On the CPU, running out of memory rarely raises an error: the kernel kills the process instead.
The predicted memory of a step is therefore compared with the free memory before the step runs.

Reference:
    Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst. Control groups are
    nested, and the lowest limit applies.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PROC = Path("/proc")
NONE_LEFT = "Memory ran out. Close other programs, or use settings that need less memory."
UNLIMITED = 1 << 60
"""Version 1 of cgroups reports a limit of this order if none is set."""


@dataclass(frozen=True)
class Memory:
    """A limit on the memory of this process."""

    limit: int
    """The limit in bytes."""
    free: int
    """The bytes that can still be allocated, including file caches that the kernel can drop."""
    whose: str
    """What the limit belongs to, such as `the control group` or `this machine`."""


def memory(proc: Path = PROC) -> Memory:
    """Return the limit with the least free memory: of a cgroup, this process or the machine.

    Args:
        proc: Directory of the proc file system. Tests pass their own.
    """
    bounds = [*_control_groups(proc), *_address_space(proc), _machine(proc)]
    return min(bounds, key=lambda bound: bound.free)


def memory_refusal(needed: int, bound: Memory) -> str:
    """Return why a step that needs this many bytes cannot run; empty if it can."""
    if needed <= bound.free:
        return ""
    return (
        f"The step needs about {gib(needed)}, and of the {gib(bound.limit)} of {bound.whose} "
        f"only {gib(bound.free)} are free: freeze lower layers, or use a smaller --batch-size."
    )


def gib(count: int) -> str:
    """Format a number of bytes, such as `1.5 GiB` or `80 MiB`."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**29 else f"{count / 2**20:.0f} MiB"


# --- the machine ----------------------------------------------------------------------------------


def _machine(proc: Path) -> Memory:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        table = {
            name: int(rest.split()[0]) << 10 for name, _, rest in (x.partition(":") for x in lines)
        }
        return Memory(table["MemTotal"], table["MemAvailable"], "this machine")
    except (OSError, KeyError, ValueError, IndexError):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return Memory(total, total, "this machine")  # free memory is unknown without /proc/meminfo


# --- the process ----------------------------------------------------------------------------------


def _address_space(proc: Path) -> Iterator[Memory]:
    """Yield the limit of `ulimit -v` if one is set, as batch systems do."""
    try:
        lines = (proc / "self" / "limits").read_text().splitlines()
        limit = next(line for line in lines if line.startswith("Max address space"))
        soft = limit.removeprefix("Max address space").split()[0]
        pages = int((proc / "self" / "statm").read_text().split()[0])
    except (OSError, StopIteration, ValueError, IndexError):
        return
    if soft.isdigit():
        used = pages * os.sysconf("SC_PAGE_SIZE")
        yield Memory(int(soft), max(0, int(soft) - used), "this process (ulimit -v)")


# --- control groups -------------------------------------------------------------------------------


def _control_groups(proc: Path) -> Iterator[Memory]:
    """Yield the limit of each cgroup that contains this process and has one."""
    try:
        groups, mounts = (  # Their paths may be in any encoding.
            (proc / "self" / name).read_bytes().decode(errors="surrogateescape").splitlines()
            for name in ("cgroup", "mountinfo")
        )
    except OSError:
        return
    for line in groups:
        number, controllers, path = line.split(":", 2)
        version_2 = number == "0" and not controllers
        if version_2 or "memory" in controllers.split(","):
            folders = _find_folder(mounts, version_2, PurePosixPath(path))
            if folders is not None:
                yield from _limits_upwards(*folders, version_2)


def _find_folder(
    mounts: list[str], version_2: bool, path: PurePosixPath
) -> tuple[Path, Path] | None:
    """Return the cgroup's folder and the top of the tree that it is mounted in."""
    for line in mounts:
        fields, _, rest = line.partition(" - ")
        kind, *_, options = rest.split()
        if kind != ("cgroup2" if version_2 else "cgroup"):
            continue
        if not version_2 and "memory" not in options.split(","):
            continue
        root, mount_point = (field.replace("\\040", " ") for field in fields.split()[3:5])
        try:
            relative = path.relative_to(root)
        except ValueError:
            relative = PurePosixPath()  # in a cgroup namespace, the mounted tree is our own
        top = Path(mount_point)
        folder = top / relative
        return (folder if folder.is_dir() else top), top
    return None


def _limits_upwards(folder: Path, top: Path, version_2: bool) -> Iterator[Memory]:
    """Yield the limits of a cgroup and of its ancestors, up to the top of the tree."""
    limit_file, used_file, cache_key = (
        ("memory.max", "memory.current", "inactive_file")
        if version_2
        else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    )
    while True:
        try:
            text = (folder / limit_file).read_text().strip()
            limit = UNLIMITED if text == "max" else int(text)
            if limit < UNLIMITED:
                used = int((folder / used_file).read_text())
                stat = (folder / "memory.stat").read_text().split()
                droppable = int(dict(zip(stat[::2], stat[1::2], strict=True)).get(cache_key, "0"))
                free = max(0, min(limit, limit - used + droppable))
                yield Memory(limit, free, "the control group")
        except (OSError, ValueError):
            pass  # the root cgroup of version 2 has no such files
        if folder == top:
            return
        folder = folder.parent

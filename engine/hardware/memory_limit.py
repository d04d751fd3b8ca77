"""How much memory this process may use: its control group's limit, its own, or the machine's.

On the CPU, running out rarely raises: the kernel kills. So the predicted price of a step is held
against what is free before it is taken. Control groups are nested, and the narrowest binds; both
versions are read (Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst). Imports
no torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PROC = Path("/proc")
NONE_LEFT = "There is no memory left for what was asked; end other programs, or do with less."
UNLIMITED = 1 << 60
"""Version 1 writes no limit as a number of this order."""


@dataclass(frozen=True)
class Memory:
    """A bound on what this process may use."""

    limit: int
    """Bytes in all."""
    free: int
    """Bytes that can be had, what the kernel would give up (cached files) included."""
    whose: str
    """Such as `the control group` or `this machine`."""


def memory(proc: Path = PROC) -> Memory:
    """The narrowest bound: that of a control group around this process, or the machine.

    Args:
        proc: Where the kernel tells of processes; another place is for tests.
    """
    bounds = [*_control_groups(proc), *_address_space(proc), _machine(proc)]
    return min(bounds, key=lambda bound: bound.free)


def memory_refusal(needed: int, bound: Memory) -> str:
    """Why a step that needs so many bytes cannot be taken, in a sentence; empty if it can."""
    if needed <= bound.free:
        return ""
    return (
        f"The step needs about {gib(needed)}, and of the {gib(bound.limit)} of {bound.whose} "
        f"only {gib(bound.free)} are free: freeze lower layers, or take a smaller --batch-size."
    )


def gib(count: int) -> str:
    """Bytes in words, such as `1.5 GiB` or `80 MiB`."""
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
        return Memory(total, total, "this machine")  # what is free is not told here


# --- the process ----------------------------------------------------------------------------------


def _address_space(proc: Path) -> Iterator[Memory]:
    """The bound of `ulimit -v`, where one is set: batch systems do that."""
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
    """The bound of each group around this process that has one."""
    try:
        groups = (proc / "self" / "cgroup").read_text().splitlines()
        mounts = (proc / "self" / "mountinfo").read_text().splitlines()
    except OSError:
        return
    for line in groups:
        number, controllers, path = line.split(":", 2)
        second = number == "0" and not controllers
        if second or "memory" in controllers.split(","):
            place = _mounted(mounts, second, PurePosixPath(path))
            if place is not None:
                yield from _upwards(*place, second)


def _mounted(mounts: list[str], second: bool, path: PurePosixPath) -> tuple[Path, Path] | None:
    """The group's folder, and the top of the tree it is mounted in."""
    for line in mounts:
        fields, _, rest = line.partition(" - ")
        kind, *_, options = rest.split()
        if kind != ("cgroup2" if second else "cgroup"):
            continue
        if not second and "memory" not in options.split(","):
            continue
        root, point = (field.replace("\\040", " ") for field in fields.split()[3:5])
        try:
            within = path.relative_to(root)
        except ValueError:
            within = PurePosixPath()  # a namespace of its own: what is mounted is ours
        top = Path(point)
        folder = top / within
        return (folder if folder.is_dir() else top), top
    return None


def _upwards(folder: Path, top: Path, second: bool) -> Iterator[Memory]:
    limit_file, used_file, cached = (
        ("memory.max", "memory.current", "inactive_file")
        if second
        else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    )
    while True:
        try:
            text = (folder / limit_file).read_text().strip()
            limit = UNLIMITED if text == "max" else int(text)
            if limit < UNLIMITED:
                used = int((folder / used_file).read_text())
                stat = (folder / "memory.stat").read_text().split()
                given_up = int(dict(zip(stat[::2], stat[1::2], strict=True)).get(cached, "0"))
                free = max(0, min(limit, limit - used + given_up))
                yield Memory(limit, free, "the control group")
        except (OSError, ValueError):
            pass  # the top group of version 2 has no such files
        if folder == top:
            return
        folder = folder.parent

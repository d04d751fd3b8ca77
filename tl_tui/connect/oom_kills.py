"""How often the kernel has killed a process because memory ran out."""

from __future__ import annotations

from pathlib import Path

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def oom_kills(proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Return the number of processes killed so far for lack of memory; None if it is unknown.

    Counts this process's control group, which its engine belongs to, or else the whole machine.

    Args:
        proc: Directory of the proc file system. Tests pass their own.
        cgroups: Where version 2 of the control groups is mounted.

    Reference:
        Linux, Documentation/admin-guide/cgroup-v2.rst (`memory.events`); proc_vmstat(5).
    """
    files = [proc / "vmstat"]
    try:
        groups = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        groups = []
    for line in groups:
        number, _, path = line.split(":", 2)
        if number == "0":
            files.insert(0, cgroups / path.lstrip("/") / "memory.events")
    for file in files:
        try:
            words = file.read_text().split()
            return int(dict(zip(words[::2], words[1::2], strict=True))["oom_kill"])
        except (OSError, ValueError, KeyError):
            continue
    return None

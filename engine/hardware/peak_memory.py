"""The most memory that was in use while something ran, over what was in use before it.

On the CPU it is the resident size, as the kernel counts it (`VmHWM` after writing 5 to
`/proc/self/clear_refs`); memory that glibc holds back after it was freed is handed to the system
first, for it would hide what is used. On CUDA it is what torch has allocated.
"""

from __future__ import annotations

import ctypes
import platform
import re
from pathlib import Path

import torch


class PeakMemory:
    """`with Peak(device) as peak:`, then `peak.bytes`; None where the system does not tell."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes: int | None = None

    def __enter__(self) -> PeakMemory:
        release_memory(self.device)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before: int | None = torch.cuda.memory_allocated(self.device)
        else:
            self._before = _resident("VmRSS") if _reset_peak() else None
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            peak: int | None = torch.cuda.max_memory_allocated(self.device)
        else:
            peak = _resident("VmHWM")
        if peak is not None and self._before is not None:
            self.bytes = peak - self._before


def release_memory(device: torch.device) -> None:
    """Give freed memory to the device or the system."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _reset_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident(name: str) -> int | None:
    try:
        found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(found[1]) << 10 if found else None


def reset_peak_memory(device: torch.device) -> None:
    """Begin a new measurement of a CUDA device's peak memory."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """Return the bytes allocated at the peak since the last reset; None on the CPU.

    `torch.cuda.max_memory_allocated` would take half a millisecond.
    """
    if device.type != "cuda":
        return None
    known = torch.cuda.memory_stats_as_nested_dict(device)
    peak: int = known["allocated_bytes"]["all"]["peak"]
    return peak

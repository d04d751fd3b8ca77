"""Measure the peak memory of a block of code, relative to the memory in use before it.

On the CPU this is the peak resident size, from the kernel (`VmHWM` after writing 5 to
`/proc/self/clear_refs`). Freed memory that glibc retains is returned to the system first;
otherwise it would hide new allocations. On CUDA it is the peak of the memory that torch allocated.
"""

from __future__ import annotations

import ctypes
import platform
import re
from pathlib import Path

import torch


class PeakMemory:
    """A context manager that measures the peak memory of its block.

    Example:
        >>> with PeakMemory(device) as peak:
        ...     model(images)
        >>> peak.bytes
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes: int | None = None
        """The peak in bytes, relative to the start; None if the system does not report it."""

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
    """Return freed memory to the device or the system."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _reset_peak() -> bool:
    """Reset the kernel's `VmHWM` of this process; return whether that worked."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident(field: str) -> int | None:
    """Return a field of `/proc/self/status`, such as `VmRSS`, in bytes."""
    try:
        match = re.search(
            rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(errors="replace")
        )
    except OSError:
        return None
    return int(match[1]) << 10 if match else None


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

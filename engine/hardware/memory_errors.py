"""Recognise the errors with which torch and its libraries report that memory ran out."""

from __future__ import annotations

import torch

_CPU_MESSAGES = ("DefaultCPUAllocator", "not enough memory", "bad_alloc", "bad allocation")
"""Parts of the messages of the RuntimeErrors that torch raises when the CPU runs out of memory."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception reports that memory ran out, on a device or on the host."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in _CPU_MESSAGES)

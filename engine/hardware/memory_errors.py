"""Recognize the errors with which torch and its libraries report that memory ran out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    pass


_NO_MEMORY = ("DefaultCPUAllocator", "not enough memory", "bad_alloc", "bad allocation")
"""How torch and its libraries say on the CPU that memory ran out: in a plain RuntimeError."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on a device or on the host."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _NO_MEMORY)

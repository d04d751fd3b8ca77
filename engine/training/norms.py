"""L2 norms of many tensors: with few kernels on a GPU, with good use of the cache on a CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

LARGE = 32768
"""The number of elements from which a norm on the CPU is computed by rows."""
ROW = 4096
"""The number of elements in such a row."""


def norms_by_group(tensors: list[Tensor]) -> list[Tensor]:
    """Return the L2 norm of each tensor, on its device. All tensors must be on one device."""
    if tensors and tensors[0].device.type == "cpu":
        return [_norm_on_cpu(tensor) for tensor in tensors]
    return list(torch._foreach_norm(tensors)) if tensors else []  # refuses an empty list


def each_with_norm(
    change: Literal["copy", "subtract"], tensors: list[Tensor], others: list[Tensor]
) -> list[Tensor]:
    """Change each tensor in place and return its L2 norm afterwards.

    On the CPU, each norm is computed right after the change, while the tensor is in the cache.

    Args:
        change: `copy` copies the other tensor into the tensor; `subtract` subtracts it.
        tensors: The tensors to change.
        others: The other tensors, with the same shapes.
    """
    if tensors and tensors[0].device.type != "cpu":
        (torch._foreach_copy_ if change == "copy" else torch._foreach_sub_)(tensors, others)
        return norms_by_group(tensors)
    norms = []
    for tensor, other in zip(tensors, others, strict=True):
        if change == "copy":
            tensor.copy_(other)
        else:
            tensor.sub_(other)
        norms.append(_norm_on_cpu(tensor))
    return norms


def _norm_on_cpu(tensor: Tensor) -> Tensor:
    """Return the L2 norm of a tensor; of a large tensor, by rows.

    PyTorch reduces one long row in a single thread, and the sum of squares is less accurate.
    """
    dense = tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)
    if tensor.numel() < LARGE or tensor.numel() % ROW or not dense:
        return torch.linalg.vector_norm(tensor)
    rows = tensor.as_strided((tensor.numel() // ROW, ROW), (ROW, 1), tensor.storage_offset())
    return torch.linalg.vector_norm(torch.linalg.vector_norm(rows, dim=1))


def together(norms: list[Tensor], device: torch.device) -> Tensor:
    """Stack n norms into one fp64 tensor [n], so that one transfer moves them to the host."""
    if not norms:
        return torch.empty(0, dtype=torch.float64, device=device)
    return torch.stack(norms).double()


def l2(norms: Sequence[float]) -> float:
    """Return the L2 norm of several tensors together, from the norm of each."""
    return norms[0] if len(norms) == 1 else math.hypot(*norms)  # most layers have one tensor


def norm64(tensor: Tensor) -> float:
    """Return the L2 norm computed in fp64, which does not overflow where fp32 does."""
    return float(torch.linalg.vector_norm(tensor.double()))

"""L2 norms of many tensors: in few kernels on a GPU, out of the cache on a CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

LARGE, ROW = 32768, 4096
"""Elements of a tensor whose norm is taken by rows, and of a row."""


def norms_by_group(tensors: list[Tensor]) -> list[Tensor]:
    """The L2 norm of each, on its device; none for none."""
    if tensors and tensors[0].device.type == "cpu":
        return [_norm_on_cpu(tensor) for tensor in tensors]
    return list(torch._foreach_norm(tensors)) if tensors else []  # it refuses an empty list


def each_with_norm(
    change: Literal["copy", "subtract"], tensors: list[Tensor], others: list[Tensor]
) -> list[Tensor]:
    """Change each tensor in place, and take its L2 norm then.

    On the CPU one tensor after the other, so that the norm finds it in the cache.

    Args:
        change: Copy the other tensor over it, or subtract the other from it.
        tensors: What is changed.
        others: As many, of the same shapes.
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
    """Of a large tensor by rows: PyTorch reduces one long row in a single thread, and its sum of
    squares is less exact."""
    dense = tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)
    if tensor.numel() < LARGE or tensor.numel() % ROW or not dense:
        return torch.linalg.vector_norm(tensor)
    rows = tensor.as_strided((tensor.numel() // ROW, ROW), (ROW, 1), tensor.storage_offset())
    return torch.linalg.vector_norm(torch.linalg.vector_norm(rows, dim=1))


def together(norms: list[Tensor], device: torch.device) -> Tensor:
    """One tensor [n] of them in fp64, so that they cross to the host at once."""
    if not norms:
        return torch.empty(0, dtype=torch.float64, device=device)
    return torch.stack(norms).double()


def l2(norms: Sequence[float]) -> float:
    """The L2 norm of several tensors together, from the norm of each."""
    return norms[0] if len(norms) == 1 else math.hypot(*norms)  # most layers have one tensor


def norm64(tensor: Tensor) -> float:
    """The L2 norm with its squares summed in fp64, where fp32 would overflow."""
    return float(torch.linalg.vector_norm(tensor.double()))

"""Norms are accurate for tensors of any size and memory format."""

from __future__ import annotations

import pytest
import torch

from engine.training.norms import each_with_norm, norms_by_group

SHAPES = [(1,), (5,), (64, 3, 7, 7), (32768,), (40961,), (512, 64, 3, 3), (128, 128, 3, 3)]


def tensors(seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    made = [torch.randn(shape, generator=generator) for shape in SHAPES]
    made.append(
        torch.randn(256, 64, 3, 3, generator=generator).to(memory_format=torch.channels_last)
    )
    made.append(torch.randn(64, 2048, generator=generator)[:, ::2])  # not dense
    return made


def exact(tensors: list[torch.Tensor]) -> list[float]:
    """Return the norms in fp64."""
    return [float(torch.linalg.vector_norm(tensor.double())) for tensor in tensors]


def test_norms_equal_those_in_fp64() -> None:
    given = tensors(0)
    assert [float(norm) for norm in norms_by_group(given)] == pytest.approx(exact(given), rel=1e-4)
    assert norms_by_group([]) == []


def test_each_with_norm_returns_the_norms_after_the_change() -> None:
    old, new = tensors(1), tensors(2)
    copies = [torch.empty_like(tensor) for tensor in old]
    norms = each_with_norm("copy", copies, old)
    assert all(torch.equal(a, b) for a, b in zip(copies, old, strict=True))
    assert [float(norm) for norm in norms] == pytest.approx(exact(old), rel=1e-4)
    norms = each_with_norm("subtract", copies, new)
    differences = [a - b for a, b in zip(old, new, strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(copies, differences, strict=True))
    assert [float(norm) for norm in norms] == pytest.approx(exact(differences), rel=1e-4)
    assert each_with_norm("copy", [], []) == []


def test_nan_and_infinity_make_the_norm_not_finite() -> None:
    for bad in (float("nan"), float("inf")):
        tensor = torch.zeros(256, 256)
        tensor[100, 100] = bad
        assert not torch.isfinite(norms_by_group([tensor])[0])

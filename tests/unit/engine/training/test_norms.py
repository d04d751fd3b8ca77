"""Norms of tensors are those of fp64, whatever their size and memory format."""

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


def exact(many: list[torch.Tensor]) -> list[float]:
    return [float(torch.linalg.vector_norm(tensor.double())) for tensor in many]


def test_norms_are_those_of_fp64() -> None:
    many = tensors(0)
    assert [float(norm) for norm in norms_by_group(many)] == pytest.approx(exact(many), rel=1e-4)
    assert norms_by_group([]) == []


def test_a_change_comes_with_the_norm_of_what_it_made() -> None:
    old, new = tensors(1), tensors(2)
    kept = [torch.empty_like(tensor) for tensor in old]
    norms = each_with_norm("copy", kept, old)
    assert all(torch.equal(one, other) for one, other in zip(kept, old, strict=True))
    assert [float(norm) for norm in norms] == pytest.approx(exact(old), rel=1e-4)
    norms = each_with_norm("subtract", kept, new)
    moved = [one - other for one, other in zip(old, new, strict=True)]
    assert all(torch.equal(one, other) for one, other in zip(kept, moved, strict=True))
    assert [float(norm) for norm in norms] == pytest.approx(exact(moved), rel=1e-4)
    assert each_with_norm("copy", [], []) == []


def test_a_nan_and_an_infinity_are_not_lost_among_rows() -> None:
    for bad in (float("nan"), float("inf")):
        tensor = torch.zeros(256, 256)
        tensor[100, 100] = bad
        assert not torch.isfinite(norms_by_group([tensor])[0])

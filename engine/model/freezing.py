"""Masks of trainable parameter owners, named strategies, and freezing itself.

Only `requires_grad` freezes parameters. A frozen BatchNorm must also be in eval mode; in train mode
its running statistics would drift towards the new data.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from engine.model.layer_stack import Stack
from engine.model.rows import NORMALISATIONS
from tl_tui.common.errors import Problem
from tl_tui.protocol.layers import NormMode

Mask = frozenset[int]
"""The trainable owners, by index in `Stack.owners`."""


class UnknownLayer(Problem):
    """The model has no layer, stage or module of this name. The message lists similar names."""


def strategies(stack: Stack) -> dict[str, Mask]:
    """Return the trainable owners of each named strategy, from fewest to most layers.

    Feature extraction trains the head. The last stage is the one that ends below the head. In a
    model with too few stages, two strategies have the same mask. `bn-only` trains the head and
    every normalisation layer with parameters.

    Reference:
        bn-only: Frankle, Schwab and Morcos, ICLR 2021, arXiv:2003.00152.
    """
    head = {owner for row in stack.rows if row.head for owner in row.owners}
    below = [
        stage
        for stage in stack.stages
        if not all(row.head for row in stack.rows[stage.first_row : stage.end_row])
    ]

    norms = {i for i, o in enumerate(stack.owners) if isinstance(o.module, NORMALISATIONS)}

    def with_last_stages(count: int) -> Mask:
        owners = set(head)
        for stage in below[len(below) - min(count, len(below)) :]:
            for row in stack.rows[stage.first_row : stage.end_row]:
                owners.update(row.owners)
        return frozenset(owners)

    return {
        "feature-extraction": frozenset(head),
        "last-stage": with_last_stages(1),
        "last-two-stages": with_last_stages(2),
        "full": frozenset(range(len(stack.owners))),
        "bn-only": frozenset(head | norms),
    }


def masks_from_top(stack: Stack) -> list[tuple[str, Mask]]:
    """Return masks that grow by one stage from the head to the whole model.

    Returns:
        Pairs of the name of the stage that was added last and the mask; the first is the head.
    """
    head = {owner for row in stack.rows if row.head for owner in row.owners}
    masks = [("head", frozenset(head))]
    for stage in reversed(stack.stages):
        rows = stack.rows[stage.first_row : stage.end_row]
        mask = masks[-1][1].union(*(row.owners for row in rows))
        if mask != masks[-1][1]:
            masks.append((stage.name, mask))
    return masks


def names_of(stack: Stack, mask: Mask) -> list[str]:
    """Return the names for a mask that `select` accepts.

    A fully trainable row is named as a whole; of any other row, the trainable modules are named.
    """
    names = []
    for row in stack.rows:
        trainable = [owner for owner in row.owners if owner in mask]
        if len(trainable) == len(row.owners):
            names.append(row.name)
        else:
            names += [stack.owners[owner].name for owner in trainable]
    return names


def select(stack: Stack, names: Iterable[str]) -> Mask:
    """Return the owners in the named layers, stages or modules.

    Raises:
        UnknownLayer: The model has nothing of that name.
    """
    selected: set[int] = set()
    for name in names:
        owners = _owners_named(stack, name)
        if not owners:
            known = {row.name for row in stack.rows} | {stage.name for stage in stack.stages}
            known |= {owner.name for owner in stack.owners}
            similar = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(similar)}?" if similar else "see `tl-tui layers`."
            raise UnknownLayer(f"--trainable: the model has no layer or module {name!r}; {hint}")
        selected |= owners
    return frozenset(selected)


def _owners_named(stack: Stack, name: str) -> set[int]:
    """Return the owners in the stage, row or module of this name; empty if there is none."""
    for stage in stack.stages:
        if stage.name == name:
            rows = stack.rows[stage.first_row : stage.end_row]
            return {owner for row in rows for owner in row.owners}
    for row in stack.rows:
        if row.name == name:
            return set(row.owners)
    return {
        index
        for index, owner in enumerate(stack.owners)
        if owner.name == name or owner.name.startswith(f"{name}.")
    }


def set_requires_grad(stack: Stack, mask: Mask) -> None:
    """Freeze and unfreeze parameters.

    Call this only between steps, after `zero_grad(set_to_none=True)`.
    """
    for index, owner in enumerate(stack.owners):
        trainable = index in mask
        for parameter in owner.parameters:
            if parameter.requires_grad != trainable:
                parameter.requires_grad_(trainable)


def set_modes(stack: Stack, mask: Mask, norm_modes: Mapping[int, NormMode]) -> None:
    """Put every module in train or eval mode for a training step.

    A module with parameters of its own is in train mode if they are trainable. A module without
    any (dropout, stochastic depth, a block) is in train mode if an owner within it is trainable
    or, if it contains no owners, if an owner in its row is.

    Args:
        stack: The model's layer stack.
        mask: The trainable owners.
        norm_modes: Modes that the user set for BatchNorms, by owner.
    """
    for part in stack.parts:
        if part.owner is not None:
            mode = norm_modes.get(part.owner, "auto")
            training = part.owner in mask if mode == "auto" else mode == "train"
        else:
            training = part.within is None or not mask.isdisjoint(part.within)
        if part.module.training != training:
            part.module.training = training


def frozen_tensors(stack: Stack, mask: Mask) -> dict[str, Tensor]:
    """Return every parameter and buffer of the frozen owners, by name in the state dict."""
    tensors: dict[str, Tensor] = {}
    for index, owner in enumerate(stack.owners):
        if index in mask:
            continue
        prefix = f"{owner.name}." if owner.name else ""
        for name, parameter in owner.module.named_parameters(recurse=False):
            tensors[prefix + name] = parameter.detach()
        for name, buffer in owner.module.named_buffers(recurse=False):
            tensors[prefix + name] = buffer
    return tensors


def changed_tensors(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that are not bit-identical; see `same_bits`."""
    return [name for name, tensor in after.items() if not same_bits(before[name], tensor)]


def same_bits(first: Tensor, second: Tensor) -> bool:
    """Return whether two tensors of the same type are bit-identical; NaN equals the same NaN."""
    if first.is_floating_point():
        # Compared as integers, so that NaN equals itself and -0.0 differs from 0.0.
        dtype = {2: torch.int16, 4: torch.int32, 8: torch.int64}[first.element_size()]
        first, second = first.contiguous().view(dtype), second.contiguous().view(dtype)
    return torch.equal(first, second)


def cause_of_change(stack: Stack, tensor: str) -> str:
    """Return the likely reason why a frozen tensor changed, from the state of its module."""
    path, _, leaf = tensor.rpartition(".")
    module = stack.model.get_submodule(path)
    if leaf in ("running_mean", "running_var", "num_batches_tracked") and module.training:
        return "its BatchNorm is in train mode, so its running statistics follow the new data"
    parameter = getattr(module, leaf, None)
    if isinstance(parameter, nn.Parameter):
        if parameter.requires_grad:
            return "requires_grad was set outside the mask"
        if parameter.grad is not None:
            return "it still has a gradient, so the optimizer updated it"
        return "something other than the optimizer wrote to it during the step"
    return "the module writes to this buffer in its forward pass"

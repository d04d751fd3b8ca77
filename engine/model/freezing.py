"""Masks: which parameter owners are trainable, what the strategies mean, and what frozen means.

`requires_grad` is the only thing that freezes. Beside it a frozen BatchNorm must be in eval mode,
for in train mode its running statistics would drift towards the new data.
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
    """A layer, stage or module name that the model does not have; the text says what is near."""


def strategies(stack: Stack) -> dict[str, Mask]:
    """The trainable owners of each named strategy, shallowest first.

    Feature extraction trains the head. The last stage is that of the last row below the head, and
    so on downwards; a model with too few stages has the same mask under two names. `bn-only` is the
    head and every normalisation with weights of its own, whatever its depth (Frankle, Schwab and
    Morcos, ICLR 2021, arXiv:2003.00152).
    """
    head = {owner for row in stack.rows if row.head for owner in row.owners}
    below = [
        stage
        for stage in stack.stages
        if not all(row.head for row in stack.rows[stage.first_row : stage.end_row])
    ]

    norms = {i for i, o in enumerate(stack.owners) if isinstance(o.module, NORMALISATIONS)}

    def with_last(count: int) -> Mask:
        owners = set(head)
        for stage in below[len(below) - min(count, len(below)) :]:
            for row in stack.rows[stage.first_row : stage.end_row]:
                owners.update(row.owners)
        return frozenset(owners)

    return {
        "feature-extraction": frozenset(head),
        "last-stage": with_last(1),
        "last-two-stages": with_last(2),
        "full": frozenset(range(len(stack.owners))),
        "bn-only": frozenset(head | norms),
    }


def masks_from_top(stack: Stack) -> list[tuple[str, Mask]]:
    """Masks that grow from the head to everything, a stage at a time, each with what it adds."""
    head = {owner for row in stack.rows if row.head for owner in row.owners}
    masks = [("head", frozenset(head))]
    for stage in reversed(stack.stages):
        rows = stack.rows[stage.first_row : stage.end_row]
        mask = masks[-1][1].union(*(row.owners for row in rows))
        if mask != masks[-1][1]:
            masks.append((stage.name, mask))
    return masks


def names_of(stack: Stack, mask: Mask) -> list[str]:
    """A mask in words that `select` takes: whole rows by name, else their modules."""
    names = []
    for row in stack.rows:
        inside = [owner for owner in row.owners if owner in mask]
        if len(inside) == len(row.owners):
            names.append(row.name)
        else:
            names += [stack.owners[owner].name for owner in inside]
    return names


def select(stack: Stack, names: Iterable[str]) -> Mask:
    """The owners that are meant by names of layers, stages or modules.

    Raises:
        UnknownLayer: a name means none; the text names near matches.
    """
    chosen: set[int] = set()
    for name in names:
        owners = _meant_by(stack, name)
        if not owners:
            known = {row.name for row in stack.rows} | {stage.name for stage in stack.stages}
            known |= {owner.name for owner in stack.owners}
            near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else "see `tl-tui layers`."
            raise UnknownLayer(f"--trainable: the model has no layer or module {name!r}; {hint}")
        chosen |= owners
    return frozenset(chosen)


def _meant_by(stack: Stack, name: str) -> set[int]:
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
    """Freeze and thaw. Call it only between steps, after `zero_grad(set_to_none=True)`."""
    for index, owner in enumerate(stack.owners):
        wanted = index in mask
        for parameter in owner.parameters:
            if parameter.requires_grad != wanted:
                parameter.requires_grad_(wanted)


def set_modes(stack: Stack, mask: Mask, norm_modes: Mapping[int, NormMode]) -> None:
    """Put every module in train or eval mode for a train step.

    A module with parameters of its own is in train mode if they are trainable. One without
    (dropout, stochastic depth, a block) is if anything within it is, or, with nothing within, if
    anything in its row is. `norm_modes` overrides this for BatchNorms, by owner.
    """
    for part in stack.parts:
        if part.owner is not None:
            mode = norm_modes.get(part.owner, "auto")
            wanted = part.owner in mask if mode == "auto" else mode == "train"
        else:
            wanted = part.within is None or not mask.isdisjoint(part.within)
        if part.module.training != wanted:
            part.module.training = wanted


def frozen_tensors(stack: Stack, mask: Mask) -> dict[str, Tensor]:
    """Every parameter and buffer of the frozen owners, by name in the state dict."""
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
    """Names of the tensors that are not bit-identical (two NaNs of the same bits are)."""
    return [name for name, tensor in after.items() if not same_bits(before[name], tensor)]


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Two tensors of a kind are bit-identical; NaN is, to NaN of the same bits."""
    if one.is_floating_point():
        # Compared as integers: NaN equals itself, and -0.0 is not 0.0.
        width = {2: torch.int16, 4: torch.int32, 8: torch.int64}[one.element_size()]
        one, other = one.contiguous().view(width), other.contiguous().view(width)
    return torch.equal(one, other)


def cause_of_change(stack: Stack, tensor: str) -> str:
    """Why a frozen tensor may have changed, in words, from what the module says of itself."""
    path, _, leaf = tensor.rpartition(".")
    module = stack.model.get_submodule(path)
    if leaf in ("running_mean", "running_var", "num_batches_tracked") and module.training:
        return "its BatchNorm is in train mode, so its running statistics follow the new data"
    parameter = getattr(module, leaf, None)
    if isinstance(parameter, nn.Parameter):
        if parameter.requires_grad:
            return "requires_grad was set outside the mask"
        if parameter.grad is not None:
            return "it still carries a gradient, so the optimizer moved it"
        return "something other than the optimizer wrote to it during the step"
    return "the module itself writes to this buffer in its forward pass"

"""Errors of a step that is not applied, and the search for its first non-finite value.

A step that runs out of memory, or whose loss or gradient is not finite, leaves weights, buffers,
optimizer, random state and batch position as they were before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from engine.model.layer_stack import Stack
from engine.model.rows import Owner
from tl_tui.common.errors import Problem

What = Literal["images", "weights", "output", "gradient", "loss"]
"""Where the first non-finite value is."""


class StepRefused(Problem):
    """A step was not applied; everything is as before it."""

    memory = False
    """Whether memory ran out."""


class OutOfMemory(StepRefused):
    """A step ran out of memory, or was predicted to."""

    memory = True


class NotFinite(StepRefused):
    """The loss or a gradient is NaN or infinite."""

    def __init__(self, loss: float, what: What, owner: int | None) -> None:
        """
        Args:
            loss: The loss of the step.
            what: Where the first non-finite value is, in the order of the computation.
            owner: The index of its owner; None for images, and if none was found.
        """
        super().__init__(f"The {what} is not finite.")
        self.loss, self.what, self.owner = loss, what, owner


class HalfUpdated(RuntimeError):
    """The update failed in its middle; the weights are not those of any step."""


def check_finite(stack: Stack, numbers: list[float]) -> None:
    """Check the numbers of a `PassResult`.

    Raises:
        NotFinite: the loss or a gradient is NaN or infinite.
    """
    loss, _, gradients = numbers
    if not math.isfinite(loss):
        raise NotFinite(loss, "loss", None)
    if not math.isfinite(gradients):
        owner = first_gradient(stack)
        if owner is not None:  # else a sum of squares overflowed
            raise NotFinite(loss, "gradient", owner)


# --- the first non-finite value ----------------------------------------------------------------


def first_gradient(stack: Stack) -> int | None:
    """Return the first owner in backward order whose gradient is not finite; None if all are."""
    for index in reversed(range(len(stack.owners))):
        gradients = [p.grad for p in stack.owners[index].parameters if p.grad is not None]
        if not all(_finite(gradient) for gradient in gradients):
            return index
    return None


def first_in_forward(
    stack: Stack, forward: Callable[[Tensor], Tensor], images: Tensor
) -> tuple[What, int | None]:
    """Return where the first non-finite value of a forward pass is, and its owner.

    Runs the pass once more; the caller restores what that changes.
    """
    if not _finite(images):
        return "images", None
    for index, owner in enumerate(stack.owners):
        if not all(_finite(tensor) for tensor in _tensors(owner)):
            return "weights", index
    found: list[int] = []

    def hook_of(index: int) -> Callable[[nn.Module, object, object], None]:
        def note_non_finite(_: nn.Module, __: object, output: object) -> None:
            if not found and isinstance(output, Tensor) and not _finite(output):
                found.append(index)

        return note_non_finite

    handles = [
        owner.module.register_forward_hook(hook_of(index))
        for index, owner in enumerate(stack.owners)
    ]
    try:
        with torch.no_grad():
            forward(images)
    finally:
        for handle in handles:
            handle.remove()
    return ("output", found[0]) if found else ("loss", None)


def _tensors(owner: Owner) -> list[Tensor]:
    return [*owner.parameters, *owner.module.buffers(recurse=False)]


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())

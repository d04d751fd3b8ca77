"""Errors of a step that is not applied, and the search for its first non-finite value.

A step that runs out of memory, or whose loss or gradient is not finite, leaves weights, buffers,
optimizer, random state and batch position as they were before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import Tensor, nn

from engine.data.batches import Batch, Decoder
from engine.data.samples import printable
from engine.model.layer_stack import Stack
from engine.model.rows import Owner
from tl_tui.common.errors import Problem

What = Literal["images", "cache", "weights", "output", "gradient", "loss"]
"""Where the first non-finite value is; `cache` is a stored activation whose image gives finite
values when it is run again."""


class StepRefused(Problem):
    """A step was not applied; everything is as before it."""

    memory = False
    """Whether memory ran out."""


class OutOfMemory(StepRefused):
    """A step ran out of memory, or was predicted to."""

    memory = True


class NotFinite(StepRefused):
    """The loss or a gradient is NaN or infinite."""

    def __init__(self, loss: float, what: What, owner: int | None, path: str = "") -> None:
        """
        Args:
            loss: The loss of the step.
            what: Where the first non-finite value is, in the order of the computation.
            owner: The index of its owner; None for images, and if none was found.
            path: The path of the first image with one; empty for the other places.
        """
        super().__init__(f"The {what} is not finite.")
        self.loss, self.what, self.owner, self.path = loss, what, owner, path


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


def locate(
    failure: NotFinite,
    stack: Stack,
    batch: Batch,
    values: Tensor,
    decoder: Decoder | None,
    autocast: AbstractContextManager[object],
) -> NotFinite:
    """Return a failure of the forward pass with the place of the first non-finite value.

    Runs the pass once more, from the images even if the step started from cached activations. The
    caller restores what that changes.

    Args:
        failure: The failure of the step.
        stack: The model's layer stack.
        batch: The batch of the step.
        values: Its images or activations, on the device.
        decoder: Reads the images of cached activations again.
        autocast: The mixed-precision context of the step.
    """
    cut, samples, cached_finite = batch.cut, batch.samples, True
    if cut is not None and decoder is not None:
        read = decoder.collect(samples, decoder.submit(samples), batch.epoch)
        if len(read.labels):  # else the images are gone, and the activations are all there is
            cached_finite = _finite(values)
            cut, samples, values = None, read.samples, read.images.to(values.device)

    def forward(values: Tensor) -> None:
        with torch.no_grad(), autocast:
            stack.model(values) if cut is None else stack.run_from(cut, values)

    what, owner = first_in_forward(stack, forward, values)
    if what == "images":
        if cut is not None:
            return NotFinite(failure.loss, "cache", None)
        number = next(n for n, image in enumerate(values) if not _finite(image))
        path = printable(samples[number].path) if number < len(samples) else ""
        return NotFinite(failure.loss, "images", None, path)
    if what == "loss" and not cached_finite:
        what = "cache"
    return NotFinite(failure.loss, what, owner)


def first_in_forward(
    stack: Stack, forward: Callable[[Tensor], object], values: Tensor
) -> tuple[What, int | None]:
    """Return where the first non-finite value of a forward pass is, and its owner."""
    for index, owner in enumerate(stack.owners):
        if not all(_finite(tensor) for tensor in _tensors(owner)):
            return "weights", index
    if not _finite(values):
        return "images", None
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
        forward(values)
    finally:
        for handle in handles:
            handle.remove()
    return ("output", found[0]) if found else ("loss", None)


def _tensors(owner: Owner) -> list[Tensor]:
    return [*owner.parameters, *owner.module.buffers(recurse=False)]


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())

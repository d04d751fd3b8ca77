"""Advice for a step that does not fit into memory: smaller masks and batches that should fit."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import torch

from engine.hardware import memory_limit
from engine.model.freezing import Mask
from engine.session.context import SessionContext
from tl_tui.estimates import cost_model
from tl_tui.protocol.checks import SavedTensors, StepCostMeasured

MARGIN = 0.9
"""The share of the memory limit that a proposed step may use."""
LEAST_BATCH = 2


@dataclass(frozen=True)
class MemoryAdvice:
    """What a step needs, what is free, and what would fit instead."""

    needed: int | None
    """Predicted bytes of the step, in addition to what was in use; None if not measured."""
    available: int
    """Free bytes."""
    source: str
    """What the free bytes are on, such as `cuda:0` or `this machine`."""
    mask: tuple[str, Mask] | None
    """The largest smaller mask that should fit, with its name."""
    batch_size: int | None
    """The largest smaller batch that should fit."""

    @property
    def text(self) -> str:
        """The advice in sentences."""
        free = f"{memory_limit.gib(self.available)} of {self.source} are free"
        if self.needed is not None:
            sentences = [f"It needs about {memory_limit.gib(self.needed)}, and {free}."]
        else:
            sentences = [f"{free[0].upper()}{free[1:]}."]
        alternatives = []
        if self.mask is not None:
            alternatives.append(f"training only {self.mask[0]}")
        if self.batch_size is not None:
            alternatives.append(f"a new run with --batch-size {self.batch_size}")
        if alternatives:
            sentences.append(f"What should fit is {' or '.join(alternatives)}.")
        return " ".join(sentences)


def advise(
    context: SessionContext, cost: StepCostMeasured | None, mask: Mask, *, failed: bool
) -> MemoryAdvice:
    """Return advice for a step that does not fit into memory.

    Args:
        context: The session.
        cost: The measured cost of a step; None if it was not measured.
        mask: The trainable owners of the step.
        failed: Whether the step was tried and ran out of memory, whatever was predicted.
    """
    available, source = _available(context.trainer.device)
    batch_size = context.event.batch_size
    if cost is None:
        smaller = batch_size // 2 if batch_size // 2 >= LEAST_BATCH else None
        return MemoryAdvice(None, available, source, None, smaller)
    parents = [owner.parents for owner in context.stack.owners]

    def needed(batch_size: int, mask: Mask) -> int:
        scaled = scale_to_batch(cost, batch_size)
        return cost_model.predict_step_cost(scaled, parents, mask).peak_bytes

    predicted = needed(batch_size, mask)
    # If the step failed although it was predicted to fit, the true limit is below the prediction.
    limit = MARGIN * (min(available, predicted) if failed else available)
    masks = [
        (name, smaller)
        for name, smaller in context.from_top
        if smaller < mask and needed(batch_size, smaller) <= limit
    ]
    batch = batch_size // 2
    while batch >= LEAST_BATCH and needed(batch, mask) > limit:
        batch //= 2
    return MemoryAdvice(
        predicted,
        available,
        source,
        max(masks, key=lambda named: len(named[1]), default=None),
        batch if batch >= LEAST_BATCH else None,
    )


def scale_to_batch(cost: StepCostMeasured, batch_size: int) -> StepCostMeasured:
    """Scale the memory of activations to another batch size; that of weights does not depend on it.

    Args:
        cost: The measured cost of a step.
        batch_size: The batch size to predict for.
    """
    if batch_size == cost.batch:
        return cost

    def scaled(values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(value * batch_size // cost.batch for value in values)

    return msgspec.structs.replace(
        cost,
        batch=batch_size,
        saved=tuple(
            SavedTensors(
                saved.owner,
                saved.bytes * batch_size // cost.batch,
                saved.if_reached,
                saved.if_trainable,
            )
            for saved in cost.saved
        ),
        forward_bytes=scaled(cost.forward_bytes),
        forward_extra_bytes=scaled(cost.forward_extra_bytes),
        backward_bytes=scaled(cost.backward_bytes),
        fixed_bytes=cost.fixed_bytes * batch_size // cost.batch,
    )


def _available(device: torch.device) -> tuple[int, str]:
    """Return the number of free bytes, and the name of the memory such as `cuda:0`.

    Bytes that torch has reserved but does not use are free.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + unused, str(device)
    bound = memory_limit.memory()
    return bound.free, bound.whose

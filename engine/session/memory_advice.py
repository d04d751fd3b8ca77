"""What a step would have needed, what there was, and what would fit in its place."""

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
"""Of what is free, and of what was not enough: a proposal that fails too would be none."""
LEAST_BATCH = 2


@dataclass(frozen=True)
class MemoryAdvice:
    needed: int | None
    """Bytes that the step needs by its price, over what was in use; None without one."""
    available: int
    whose: str
    """Of what the bytes are, such as `cuda:0` or `this machine`."""
    mask: tuple[str, Mask] | None
    """The largest smaller mask that fits, with its name."""
    batch_size: int | None
    """The largest smaller batch that fits."""

    @property
    def sentences(self) -> str:
        """Needed and available, and what can be had instead."""
        free = f"{memory_limit.gib(self.available)} of {self.whose} are free"
        if self.needed is not None:
            said = [f"It needs about {memory_limit.gib(self.needed)}, and {free}."]
        else:
            said = [f"{free[0].upper()}{free[1:]}."]
        instead = []
        if self.mask is not None:
            instead.append(f"training {self.mask[0]} alone")
        if self.batch_size is not None:
            instead.append(f"a new run with --batch-size {self.batch_size}")
        if instead:
            said.append(f"What should fit is {' or '.join(instead)}.")
        return " ".join(said)


def advise(
    context: SessionContext, price: StepCostMeasured | None, mask: Mask, *, failed: bool
) -> MemoryAdvice:
    """Look at what there is for a step with a mask, and what would do with less.

    Args:
        opened: The session.
        price: Of a step, if it was measured.
        mask: The step's.
        failed: The step was tried and ran out, whatever was predicted.
    """
    available, whose = _available(context.trainer.device)
    size = context.event.batch_size
    if price is None:
        smaller = size // 2 if size // 2 >= LEAST_BATCH else None
        return MemoryAdvice(None, available, whose, None, smaller)
    parents = [owner.parents for owner in context.stack.owners]

    def needed(count: int, of: Mask) -> int:
        return cost_model.predict_step_cost(bytes_at_batch(price, count), parents, of).peak_bytes

    whole = needed(size, mask)
    limit = MARGIN * (min(available, whole) if failed else available)
    masks = [
        (name, one) for name, one in context.from_top if one < mask and needed(size, one) <= limit
    ]
    batch = size // 2
    while batch >= LEAST_BATCH and needed(batch, mask) > limit:
        batch //= 2
    return MemoryAdvice(
        whole,
        available,
        whose,
        max(masks, key=lambda named: len(named[1]), default=None),
        batch if batch >= LEAST_BATCH else None,
    )


def bytes_at_batch(price: StepCostMeasured, count: int) -> StepCostMeasured:
    """The bytes of a step with another batch: activations follow it, weights do not."""
    if count == price.batch:
        return price

    def scaled(values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(value * count // price.batch for value in values)

    return msgspec.structs.replace(
        price,
        batch=count,
        saved=tuple(
            SavedTensors(
                one.owner, one.bytes * count // price.batch, one.if_reached, one.if_trainable
            )
            for one in price.saved
        ),
        forward_bytes=scaled(price.forward_bytes),
        forward_extra_bytes=scaled(price.forward_extra_bytes),
        backward_bytes=scaled(price.backward_bytes),
        fixed_bytes=price.fixed_bytes * count // price.batch,
    )


def _available(device: torch.device) -> tuple[int, str]:
    """Bytes that a step could have, those that torch holds and does not use included."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + held, str(device)
    bound = memory_limit.memory()
    return bound.free, bound.whose

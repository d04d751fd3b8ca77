"""Steps that are not applied: why, and where the first value that is not finite was.

A step that runs out of memory, or whose loss or gradient is not finite, leaves weights, buffers,
optimizer, random state and batch position as they were before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from engine.model import freezing
from engine.model.freezing import Mask
from engine.model.layer_stack import Stack
from engine.model.rows import Owner
from tl_tui.common.errors import Problem

if TYPE_CHECKING:
    from engine.training.trainer import Trainer

What = Literal["images", "weights", "output", "gradient", "loss"]
"""Of what the first value that is not finite is."""

_NO_MEMORY = ("DefaultCPUAllocator", "not enough memory", "bad_alloc", "bad allocation")
"""How torch and its libraries say on the CPU that memory ran out: in a plain RuntimeError."""


class StepRefused(Problem):
    """A step was not applied, and everything is as before it."""

    memory = False
    """It was memory that did not suffice."""


class OutOfMemory(StepRefused):
    """Memory ran out in a step, or would have."""

    memory = True


class NotFinite(StepRefused):
    """The loss or a gradient is NaN or infinite."""

    def __init__(self, loss: float, what: What, owner: int | None) -> None:
        """
        Args:
            loss: Of the step.
            what: The first value that is not finite, in the order of the computation.
            owner: Of which owner it is; None for images, and if it was not found.
        """
        super().__init__(f"The {what} is not finite.")
        self.loss, self.what, self.owner = loss, what, owner


class HalfUpdated(RuntimeError):
    """The update failed in its middle: what the weights are is not known any more."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on a device or on the host."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _NO_MEMORY)


@dataclass(frozen=True)
class Hand:
    """What a step changes before its update, by reference or copied, to be put back.

    Weights are not in it: they move in the update alone.
    """

    buffers: list[tuple[Tensor, Tensor]]
    """Each that may change, with a copy of it."""
    optimizer_state: dict[Tensor, dict[str, Tensor]]
    cpu_random: Tensor
    device_random: Tensor | None
    position: int
    applied: Mask

    @classmethod
    def of(cls, trainer: Trainer, moving: Mask) -> Hand:
        """As it is now.

        Args:
            trainer: Whose step is to come.
            moving: The owners that will be in train mode; other ones' statistics stay as they are.
        """
        cuda, stack = trainer.device.type == "cuda", trainer.stack
        modules = [stack.owners[owner].module for owner in sorted(moving)]
        modules += [part.module for part in stack.parts if part.owner is None]
        return cls(
            buffers=_copied(
                [b for m in modules for b in m._buffers.values() if b is not None], trainer.spare
            ),
            optimizer_state=dict(trainer.optimizer.torch.state),
            cpu_random=torch.get_rng_state(),
            device_random=torch.cuda.get_rng_state(trainer.device) if cuda else None,
            position=trainer.batches.position,
            applied=trainer.applied,
        )

    def put_back(self, trainer: Trainer) -> None:
        """As it was, bit for bit; gradients go."""
        optimizer = trainer.optimizer.torch
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for buffer, kept in self.buffers:
                buffer.copy_(kept)
        optimizer.state.clear()
        optimizer.state.update(self.optimizer_state)
        torch.set_rng_state(self.cpu_random)
        if self.device_random is not None:
            torch.cuda.set_rng_state(self.device_random, trainer.device)
        trainer.batches.put_back(self.position)
        freezing.set_requires_grad(trainer.stack, self.applied)
        trainer.applied = self.applied


def _copied(tensors: list[Tensor], spare: dict[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Each with a copy in its spare tensor, which is made if there is none; a kernel for each
    type, for a model has hundreds of buffers."""
    for tensor in tensors:
        if tensor not in spare:
            spare[tensor] = torch.empty_like(tensor)
    pairs = [(tensor, spare[tensor]) for tensor in tensors]
    for dtype in {tensor.dtype for tensor in tensors}:
        alike = [pair for pair in pairs if pair[0].dtype == dtype]
        torch._foreach_copy_([copy for _, copy in alike], [tensor for tensor, _ in alike])
    return pairs


# --- where it began -----------------------------------------------------------------------------


def first_gradient(stack: Stack) -> int | None:
    """The owner in which backward met the first gradient that is not finite; None if all are."""
    for index in reversed(range(len(stack.owners))):
        gradients = [p.grad for p in stack.owners[index].parameters if p.grad is not None]
        if not all(_finite(gradient) for gradient in gradients):
            return index
    return None


def first_in_forward(
    stack: Stack, forward: Callable[[Tensor], Tensor], images: Tensor
) -> tuple[What, int | None]:
    """The first value of a forward pass that is not finite: in images, weights, or an output.

    Runs the pass once more; the caller puts back what that changes.
    """
    if not _finite(images):
        return "images", None
    for index, owner in enumerate(stack.owners):
        if not all(_finite(tensor) for tensor in _tensors(owner)):
            return "weights", index
    found: list[int] = []

    def watch(index: int) -> Callable[[nn.Module, object, object], None]:
        def look(_: nn.Module, __: object, output: object) -> None:
            if not found and isinstance(output, Tensor) and not _finite(output):
                found.append(index)

        return look

    handles = [
        owner.module.register_forward_hook(watch(index)) for index, owner in enumerate(stack.owners)
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

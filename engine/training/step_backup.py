"""A copy of what a step changes before its update, to undo a step that was not applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.data.batch_order import Cursor
from engine.model import freezing
from engine.model.freezing import Mask

if TYPE_CHECKING:
    from engine.training.trainer import Trainer


@dataclass(frozen=True)
class StepBackup:
    """What a step changes before its update, to undo a step that is not applied.

    Weights are not included: only the update changes them.
    """

    buffers: list[tuple[Tensor, Tensor]]
    """Every buffer that may change, with a copy of it."""
    optimizer_state: dict[Tensor, dict[str, Tensor]]
    cpu_random: Tensor
    device_random: Tensor | None
    cursor: Cursor
    applied: Mask

    @classmethod
    def of(cls, trainer: Trainer, moving: Mask) -> StepBackup:
        """Copy the state before a step.

        Args:
            trainer: The trainer that is about to take the step.
            moving: The owners that will be in train mode; other buffers cannot change.
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
            cursor=trainer.batches.cursor,
            applied=trainer.applied,
        )

    def restore(self, trainer: Trainer) -> None:
        """Restore the state bit for bit, and drop the gradients."""
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
        trainer.batches.put_back(self.cursor)
        freezing.set_requires_grad(trainer.stack, self.applied)
        trainer.applied = self.applied


def _copied(tensors: list[Tensor], spare: dict[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Copy each tensor into its spare tensor, with one kernel per dtype: a model has hundreds of
    buffers."""
    for tensor in tensors:
        if tensor not in spare:
            spare[tensor] = torch.empty_like(tensor)
    pairs = [(tensor, spare[tensor]) for tensor in tensors]
    for dtype in {tensor.dtype for tensor in tensors}:
        alike = [pair for pair in pairs if pair[0].dtype == dtype]
        torch._foreach_copy_([copy for _, copy in alike], [tensor for tensor, _ in alike])
    return pairs

"""A snapshot of everything a train step changes, restored bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.data.batch_order import Cursor
from engine.model import freezing
from engine.model.freezing import Mask
from engine.training.optimizer import State
from tl_tui.protocol.config import Optimizer

if TYPE_CHECKING:
    from engine.training.trainer import Trainer


@dataclass(frozen=True)
class Snapshot:
    """Weights, buffers, optimizer state, random state and batch position, on the host."""

    tensors: dict[str, Tensor]
    """Parameters and buffers by name."""
    optimizer: Optimizer
    optimizer_state: State
    cpu_random: Tensor
    device_random: Tensor | None
    cursor: Cursor
    applied: Mask

    @classmethod
    def of(cls, trainer: Trainer) -> Snapshot:
        """Copy everything a step changes."""
        cuda = trainer.device.type == "cuda"
        return cls(
            tensors={name: t.detach().to("cpu", copy=True) for name, t in trainer.tensors()},
            optimizer=trainer.optimizer.kind,
            optimizer_state=trainer.optimizer.state(),
            cpu_random=torch.get_rng_state(),
            device_random=torch.cuda.get_rng_state(trainer.device) if cuda else None,
            cursor=trainer.batches.cursor,
            applied=trainer.applied,
        )

    def restore(self, trainer: Trainer) -> None:
        """Write everything back into the trainer's tensors.

        The recipe stays; the state of another kind of optimizer cannot be used and is dropped.
        """
        trainer.optimizer.zero_grad()
        with torch.no_grad():
            for name, tensor in trainer.tensors():
                value = self.tensors[name].to(tensor.device)
                if not freezing.same_bits(tensor, value):  # an equal tensor keeps its version
                    tensor.copy_(value)
        same_optimizer = self.optimizer == trainer.optimizer.kind
        trainer.optimizer.load(self.optimizer_state if same_optimizer else {})
        torch.set_rng_state(self.cpu_random)
        if self.device_random is not None:
            torch.cuda.set_rng_state(self.device_random, trainer.device)
        trainer.batches.put_back(self.cursor)
        trainer.applied = self.applied

"""The probe steps of the price: real steps of a copied model with a random batch.

Each is timed at every owner, in the forward pass where it ends and in backward where the gradient
arrives at its output, or looked at for the most memory that it takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.checks.cost.memory_trace import autocast
from engine.hardware.peak_memory import PeakMemory
from engine.model import freezing
from engine.model.freezing import Mask
from engine.model.layer_stack import Stack
from engine.training.clocks import CudaClock, HostClock
from engine.training.optimizer import RowOptimizer
from tl_tui.protocol.config import Recipe


@dataclass(frozen=True)
class Timing:
    """Where the time of one step went, in milliseconds."""

    forward: list[float]
    """By owner, with what is executed since the one before."""
    backward: list[float]
    """By owner, from the arrival of the gradient at its output to the next arrival."""
    update: float
    total: float


class TimedSteps:
    """Real steps of a twin with a random batch."""

    def __init__(
        self,
        twin: Stack,
        device: torch.device,
        shape: tuple[int, ...],
        classes: int,
        recipe: Recipe,
    ) -> None:
        self.twin, self.device, self.recipe = twin, device, recipe
        random = torch.Generator().manual_seed(0)
        self.images = torch.randn(shape, generator=random).to(device)
        self.labels = torch.randint(classes, shape[:1], generator=random).to(device)
        self.optimizer = RowOptimizer(twin, recipe)
        self.optimizer.set_rates([0.0] * len(twin.rows), 1.0)

    def peak(self, mask: Mask) -> int | None:
        """Bytes that a first step with a mask takes, as the system sees it.

        It keeps the weights before the update, as a step does that the probe watches.
        """
        self.optimizer.torch.zero_grad(set_to_none=True)
        self.optimizer.torch.state.clear()
        with PeakMemory(self.device) as peak:
            self._prepare(mask)
            loss = self._loss()
            if loss.requires_grad:
                loss.backward()
                trainable = [p for p in self.twin.model.parameters() if p.grad is not None]
                copies = [torch.empty_like(p, requires_grad=False) for p in trainable]
                torch._foreach_copy_(copies, [p.detach() for p in trainable])
                self.optimizer.torch.step()
            float(loss.detach())  # waits for the device
        return peak.bytes

    def take(self, mask: Mask) -> Timing:
        """One step, timed at every owner."""
        self._prepare(mask)
        clock = CudaClock(self.device) if self.device.type == "cuda" else HostClock()
        ends: list[tuple[int, int]] = []
        arrivals: list[tuple[int, int]] = []
        handles = []
        for number, owner in enumerate(self.twin.owners):

            def leave(module: nn.Module, args: object, output: Any, number: int = number) -> None:
                ends.append((number, clock.mark()))
                tensor = output[0] if isinstance(output, (tuple, list)) and output else output
                if isinstance(tensor, Tensor) and tensor.requires_grad:
                    tensor.register_hook(lambda _: arrivals.append((number, clock.mark())))

            handles.append(owner.module.register_forward_hook(leave))
        try:
            begin = clock.mark()
            loss = self._loss()
            if loss.requires_grad:
                loss.backward()
            arrived = clock.mark()
            if loss.requires_grad:
                self.optimizer.torch.step()
            end = clock.mark()
            float(loss.detach())  # waits for the device
        finally:
            for handle in handles:
                handle.remove()
        between = clock.milliseconds
        forward, backward = ([0.0] * len(self.twin.owners) for _ in range(2))
        for (_, mark), (number, after) in zip([(-1, begin), *ends], ends, strict=False):
            forward[number] += between(mark, after)
        for (number, mark), (_, after) in zip(
            arrivals, [*arrivals[1:], (-1, arrived)], strict=False
        ):
            backward[number] += between(mark, after)
        return Timing(forward, backward, between(arrived, end), between(begin, end))

    def _prepare(self, mask: Mask) -> None:
        self.optimizer.torch.zero_grad(set_to_none=True)
        freezing.set_requires_grad(self.twin, mask)
        freezing.set_modes(self.twin, mask, {})
        owners = enumerate(self.twin.owners)
        trainable = [p for number, owner in owners if number in mask for p in owner.parameters]
        self.optimizer.make_ready(trainable, ())

    def _loss(self) -> Tensor:
        with autocast(self.recipe.precision, self.device):
            logits = self.twin.model(self.images)
        return F.cross_entropy(logits.float(), self.labels)

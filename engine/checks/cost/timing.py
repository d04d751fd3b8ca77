"""Timed steps of a copied model on a random batch.

Each owner is timed at the end of its forward pass, and in backward when the gradient arrives at its
output.
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
    """The times of one step in milliseconds."""

    forward: list[float]
    """By owner: from the previous owner's output to its own."""
    backward: list[float]
    """By owner: from the gradient's arrival at its output to the next arrival."""
    update: float
    """The optimizer's step."""
    total: float


class TimedSteps:
    """Takes real steps of a copied model on a random batch."""

    def __init__(
        self,
        twin: Stack,
        device: torch.device,
        shape: tuple[int, ...],
        classes: int,
        recipe: Recipe,
    ) -> None:
        """
        Args:
            twin: A copy of the stack; its weights may change.
            device: The device of its model.
            shape: The shape of a batch, [N, 3, height, width].
            classes: The number of classes.
            recipe: The recipe; its optimizer and precision are used.
        """
        self.twin, self.device, self.recipe = twin, device, recipe
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randn(shape, generator=generator).to(device)
        self.labels = torch.randint(classes, shape[:1], generator=generator).to(device)
        self.optimizer = RowOptimizer(twin, recipe)
        self.optimizer.set_rates([0.0] * len(twin.rows), 1.0)

    def peak(self, mask: Mask) -> int | None:
        """Return the peak memory of a first step with a mask in bytes; None if it is unknown.

        The step keeps a copy of the weights before the update, as measured steps do.
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
        """Take one step with a mask, timed at every owner."""
        self._prepare(mask)
        clock = CudaClock(self.device) if self.device.type == "cuda" else HostClock()
        ends: list[tuple[int, int]] = []
        arrivals: list[tuple[int, int]] = []
        handles = []
        for number, owner in enumerate(self.twin.owners):

            def hook(module: nn.Module, args: object, output: Any, number: int = number) -> None:
                ends.append((number, clock.mark()))
                tensor = output[0] if isinstance(output, (tuple, list)) and output else output
                if isinstance(tensor, Tensor) and tensor.requires_grad:
                    tensor.register_hook(lambda _: arrivals.append((number, clock.mark())))

            handles.append(owner.module.register_forward_hook(hook))
        try:
            begin = clock.mark()
            loss = self._loss()
            if loss.requires_grad:
                loss.backward()
            backward_end = clock.mark()
            if loss.requires_grad:
                self.optimizer.torch.step()
            end = clock.mark()
            float(loss.detach())  # waits for the device
        finally:
            for handle in handles:
                handle.remove()
        elapsed = clock.milliseconds
        forward, backward = ([0.0] * len(self.twin.owners) for _ in range(2))
        for (_, mark), (number, after) in zip([(-1, begin), *ends], ends, strict=False):
            forward[number] += elapsed(mark, after)
        for (number, mark), (_, after) in zip(
            arrivals, [*arrivals[1:], (-1, backward_end)], strict=False
        ):
            backward[number] += elapsed(mark, after)
        return Timing(forward, backward, elapsed(backward_end, end), elapsed(begin, end))

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

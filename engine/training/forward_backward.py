"""The forward and the backward pass of a step, and what they leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.training.norms import norms_by_group, together
from engine.training.probe import Probe


@dataclass(frozen=True)
class PassResult:
    """Still on the device: nothing here has waited for it."""

    numbers: Tensor
    """[3] in fp64: the loss, how many were right, and a number that is finite only if every
    gradient is (it may be infinite where none is: a sum of squares can overflow)."""
    norms: Mapping[Tensor, Tensor]
    """The L2 norm of its gradient, of every parameter that has one."""
    learns: bool
    """Something is trainable."""
    captured: bool = False
    """They were replayed from a graph."""
    memory_used: int | None = None
    """Bytes allocated at their peak, if they were."""


def forward_backward(
    forward: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    *,
    probe: Probe,
    measured: bool,
    precision: AbstractContextManager,
) -> PassResult:
    """Forward, loss, backward, and the norm of every gradient.

    Args:
        forward: Gives logits [N, classes].
        images: [N, …]; labels: [N]; both on the model's device.
        probe: Of the model; watches if `measured`.
        precision: Entered around the forward pass.
    """
    mark = probe.mark if measured else lambda _: None
    with probe.watching() if measured else nullcontext():
        mark("forward")
        with precision:
            logits = forward(images)
        loss = F.cross_entropy(logits.float(), labels)
        mark("backward")
        if loss.requires_grad:
            loss.backward()
        mark("arrived")
    correct = (logits.detach().argmax(1) == labels).sum()
    received = [p for p in probe.parameters if p.grad is not None]
    norms = norms_by_group([p.grad for p in received if p.grad is not None])
    numbers = [loss.detach().double(), correct.double(), together(norms, images.device).sum()]
    return PassResult(
        numbers=torch.stack(numbers),
        norms=dict(zip(received, norms, strict=True)),
        learns=loss.requires_grad,
    )

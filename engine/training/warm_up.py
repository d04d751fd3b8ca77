"""A first pass forward and back, so that the first real step is quick and its timing true."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from engine.hardware.devices import ChosenDevice
from engine.model import freezing
from engine.model.layer_stack import Stack
from engine.model.rows import evaluating

FEW = 2
"""Images that load a CPU's kernels as well as a whole batch."""


def warm_up(
    model: nn.Module,
    stack: Stack,
    wanted: freezing.Mask,
    device: ChosenDevice,
    shape: tuple[int, int, int, int],
) -> str:
    """Run the passes of a step; the model, its gradients and the random state stay as they are.

    Args:
        model: On its device.
        stack: Its owners.
        wanted: The owners that are to train.
        device: Where.
        shape: Of a batch, [N, 3, size, size].

    Returns:
        What was done, in words.
    """
    if device.accelerator:
        _step_on_a_copy(model, device, shape)
        return "one step on a copy"
    images = torch.zeros(min(FEW, shape[0]), *shape[1:])
    trainable = [p for index in sorted(wanted) for p in stack.owners[index].parameters]
    with evaluating(model):
        loss = F.cross_entropy(model(images), torch.zeros(len(images), dtype=torch.int64))
        if trainable:
            torch.autograd.grad(loss, trainable, allow_unused=True)
    return f"{len(images)} images, forward and back"


def _step_on_a_copy(
    model: nn.Module, device: ChosenDevice, shape: tuple[int, int, int, int]
) -> None:
    """All of a step, with a whole batch in train mode: kernels are chosen, or compiled, for it."""
    twin = copy.deepcopy(model)
    where = device.device
    with torch.random.fork_rng([where] if where.type == "cuda" else []):
        loss = F.cross_entropy(
            twin(torch.zeros(shape, device=where)),
            torch.zeros(shape[0], dtype=torch.int64, device=where),
        )
        loss.backward()
        float(loss.detach())  # waits for the device

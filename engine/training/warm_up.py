"""Run a forward and backward pass before the first step, so that it is fast and timed correctly."""

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
"""The number of images that is enough to load the CPU's kernels."""


def warm_up(
    model: nn.Module,
    stack: Stack,
    mask: freezing.Mask,
    device: ChosenDevice,
    shape: tuple[int, int, int, int],
) -> str:
    """Run a forward and backward pass without changing the model, gradients or random state.

    Args:
        model: The model, on the device.
        stack: The model's layer stack.
        mask: The owners to be trained.
        device: The device.
        shape: The shape of a batch, [N, 3, size, size].

    Returns:
        A short description of what was run.
    """
    if device.accelerator:
        _step_on_a_copy(model, device, shape)
        return "one step on a copy"
    images = torch.zeros(min(FEW, shape[0]), *shape[1:])
    trainable = [p for index in sorted(mask) for p in stack.owners[index].parameters]
    with evaluating(model):
        loss = F.cross_entropy(model(images), torch.zeros(len(images), dtype=torch.int64))
        if trainable:
            torch.autograd.grad(loss, trainable, allow_unused=True)
    return f"{len(images)} images, forward and backward"


def _step_on_a_copy(
    model: nn.Module, device: ChosenDevice, shape: tuple[int, int, int, int]
) -> None:
    """Run both passes on a copy of the model, with a full batch in train mode.

    Libraries choose or compile kernels for the shape of the batch.
    """
    model_copy = copy.deepcopy(model)
    target = device.device
    with torch.random.fork_rng([target] if target.type == "cuda" else []):
        loss = F.cross_entropy(
            model_copy(torch.zeros(shape, device=target)),
            torch.zeros(shape[0], dtype=torch.int64, device=target),
        )
        loss.backward()
        float(loss.detach())  # waits for the device

"""Two copies of one model, one trained by the engine and one by plain PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from benchmarks.studies.probe_cost import OneBatch
from engine.model import freezing
from engine.model.layer_stack import Stack
from engine.training.cuda_graphs import CudaGraphs
from engine.training.trainer import Trainer
from tl_tui.protocol.config import Precision, Recipe

CLASSES = 2
RATE = 1e-4


class PairedModels:
    """The engine's step and the equivalent plain PyTorch step, on one batch in memory.

    Both start from the same weights, freeze the same layers (`requires_grad`, BatchNorms in eval
    mode) and read the loss at the end of a step, as PyTorch's tutorial does.
    """

    def __init__(
        self,
        arch: str,
        batch: int,
        size: int,
        strategy: str,
        device: str = "cpu",
        classes: int = CLASSES,
        precision: Precision = "fp32",
        model: Callable[[], nn.Module] | None = None,
        *,
        captured: bool = False,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        """
        Args:
            arch: The name of the torchvision model.
            batch: The number of images per step.
            size: The side of the images in pixels.
            strategy: The name of the strategy, which decides what is trained.
            device: The device.
            classes: The number of classes.
            precision: The precision of the engine's step; the plain step uses fp32.
            model: A function that makes the model; replaces `arch`.
            captured: Whether the engine replays its steps from CUDA graphs.
            memory_format: The memory format of the engine's weights; the plain weights are
                contiguous.
        """
        self.device = torch.device(device)

        def make(layout: torch.memory_format) -> Stack:
            torch.manual_seed(0)
            made = model() if model else torchvision.models.get_model(arch, num_classes=classes)
            made = made.to(device).to(memory_format=layout)  # type: ignore[call-overload]
            return Stack(made, torch.zeros(1, 3, size, size, device=device))

        stack, plain = make(memory_format), make(torch.contiguous_format)
        self.mask = freezing.strategies(stack)[strategy]
        one = OneBatch(batch, size)
        one.batch = torch_batch(one, classes, self.device)
        recipe = Recipe(lr_head=RATE, lr_pretrained=RATE, weight_decay=1e-4, precision=precision)
        self.trainer = Trainer(stack, one, self.device, recipe)  # type: ignore[arg-type]
        self.cuda_graphs = captured
        if captured:
            self.trainer.cuda_graphs = CudaGraphs(self.trainer.probe, self.device)
        self.images, self.labels = one.batch.images, one.batch.labels
        freezing.set_requires_grad(plain, self.mask)
        freezing.set_modes(plain, self.mask, {})
        self.plain = plain.model
        self.optimizer = torch.optim.SGD(
            [p for p in self.plain.parameters() if p.requires_grad],
            lr=RATE,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )

    def watched(self) -> float:
        """Take one step of the engine with the whole probe. Return its seconds."""
        return self.timed(
            lambda: self.trainer.step(self.mask, {}, measured=True, replayed=self.cuda_graphs)
        )

    def bare(self) -> float:
        """Take one plain step without instruments. Return its seconds."""
        return self.timed(self.plain_step)

    def plain_step(self) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.plain(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def timed(self, step: Callable[[], object]) -> float:
        """Call `step` and wait for the device. Return the seconds."""
        began = time.perf_counter()
        step()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - began


def torch_batch(one: OneBatch, classes: int, device: torch.device):
    """Return the batch on a device, with random labels from all classes."""
    from dataclasses import replace

    labels = torch.randint(0, classes, one.batch.labels.shape)
    return replace(one.batch, images=one.batch.images.to(device), labels=labels.to(device))

"""A plain training step, alternately bare and with a peer's instrument; runs in its environment.

python -m benchmarks.peers.instruments wandb|tensorboard|gradviz STRATEGY FOLDER
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from benchmarks.peers.turns import take_turns

BATCH, SIZE = 16, 64


class Step:
    """A ResNet-18 on one batch; frozen layers are in eval mode, as in the engine."""

    def __init__(self, strategy: str) -> None:
        torch.manual_seed(0)
        self.model = torchvision.models.resnet18(num_classes=2)
        if strategy == "feature-extraction":
            self.model.requires_grad_(False).eval()
            self.model.fc.requires_grad_(True)
        self.images = torch.randn(BATCH, 3, SIZE, SIZE)
        self.labels = torch.randint(0, 2, (BATCH,))
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(trained, lr=1e-4, momentum=0.9, weight_decay=1e-4)

    def take(self, before: Callable[[], Any], after: Callable[[], Any]) -> float:
        """Take one step. Return its seconds.

        Args:
            before: Called between the backward pass and the update.
            after: Called at the end of the step.
        """
        began = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.model(self.images), self.labels)
        loss.backward()
        before()
        self.optimizer.step()
        loss.item()
        after()
        return time.perf_counter() - began


def nothing() -> None:
    """Do nothing, for the bare step."""


def instrument(kind: str, model: nn.Module, folder: str) -> tuple[Callable, Callable]:
    """Attach an instrument. Return its calls before the update and after the step."""
    if kind == "wandb":
        import wandb

        run = wandb.init(mode="offline", dir=folder, project="benchmark")
        wandb.watch(model, log="gradients", log_freq=1)
        return nothing, lambda: run.log({"step": 1})
    if kind == "tensorboard":
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(folder)
        count = iter(range(10**9))

        def histograms() -> None:
            step = next(count)
            for name, parameter in model.named_parameters():
                if parameter.grad is not None:
                    writer.add_histogram(name, parameter.grad, step)

        return histograms, nothing
    from gradviz import GradViz

    watcher = GradViz(model)
    watcher.attach()
    return nothing, watcher.step


def main() -> None:
    kind, strategy, folder = sys.argv[1:]
    bare, watched = Step(strategy), Step(strategy)
    before, after = instrument(kind, watched.model, folder)
    turn = iter(range(10**9))

    def measure() -> dict[str, float]:
        if next(turn) % 2:
            seconds = watched.take(before, after)
            return {"with": seconds, "bare": bare.take(nothing, nothing)}
        plain = bare.take(nothing, nothing)
        return {"bare": plain, "with": watched.take(before, after)}

    take_turns(measure)


if __name__ == "__main__":
    main()

"""A training run in this process, timed step by step, and the textbook loop on the same images."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision import transforms as T

from benchmarks.harness.paired_steps import torch_batch
from benchmarks.studies.probe_cost import OneBatch
from engine.data.batch_order import Cursor
from engine.server.dispatch import Dispatcher
from engine.session.progress import Progress
from tl_tui.protocol.commands import Open, Train
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.framing import encode
from tl_tui.protocol.session import SessionOpened
from tl_tui.protocol.training import StepTaken

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class EndlessEpoch(OneBatch):
    """One batch at every step of a run, in an epoch that never ends."""

    cursor = Cursor(0, 1)
    position = 1

    def __init__(self, count: int, size: int, progress: Progress) -> None:
        super().__init__(count, size)
        self.progress = progress

    @property
    def left_in_epoch(self) -> int:
        return self.progress.left_in_epoch

    @property
    def batches_per_epoch(self) -> int:
        return self.progress.batches_per_epoch


class Running:
    """A training session. Timings include the journal and the messages, but not validations."""

    def __init__(self, folder: Path, **config: Any) -> None:
        """
        Args:
            folder: The run directory.
            config: Fields of `RunConfig`.
        """
        self.losses: list[float] = []
        self._stepped = False
        self.session = Dispatcher(self._on_event)
        run_config = RunConfig(weights="none", run_dir=str(folder), **config)
        self.session.handle(Open(id=1, config=run_config))
        while self.session.run is None and self.session.work():
            pass
        if self.session.run is None:
            raise RuntimeError("the session did not open")
        self.run = self.session.run
        self.per_epoch = self.run.progress.batches_per_epoch

    def _on_event(self, event: AnyEvent) -> None:
        if not isinstance(event, SessionOpened):
            encode(event)  # so that the time includes the engine's cost of having a client
        if isinstance(event, StepTaken):
            self.losses.append(event.loss)
            self._stepped = True

    def in_memory(self) -> Running:
        """Train on one batch in memory from now on, without ever reaching the end of an epoch."""
        opened = self.run.context.event
        one = EndlessEpoch(opened.batch_size, opened.image_size, self.run.progress)
        one.batch = torch_batch(one, len(opened.classes), self.run.trainer.device)
        self.run.trainer.batches = one  # type: ignore[assignment]
        return self

    def steps(self, count: int) -> float:
        """Take `count` steps. Return the seconds spent in the units of work that took a step."""
        if self.run.progress.train_to is None:
            self.session.handle(Train(id=2, steps=10**7))
        seconds, taken = 0.0, 0
        while taken < count:
            self._stepped = False
            began = time.perf_counter()
            if not self.session.work():
                raise RuntimeError("the run has ended")
            if self._stepped:
                seconds += time.perf_counter() - began
                taken += 1
        return seconds

    def epoch(self) -> float:
        """Take the steps of one epoch. Return their seconds."""
        return self.steps(self.per_epoch)

    def close(self) -> None:
        self.run.journal.close()
        self.run.context.decoder.close()


class Textbook:
    """The loop of PyTorch's transfer-learning tutorial: ImageFolder and a default DataLoader."""

    def __init__(
        self, folder: Path, strategy: str, batch: int, size: int, *, in_memory: bool = False
    ) -> None:
        """
        Args:
            folder: The image folder, with one subfolder per class.
            strategy: feature-extraction, last-stage or full.
            batch: The number of images per step.
            size: The side of the images in pixels.
            in_memory: Decode all batches in advance, so that only the loop is timed.
        """
        made = T.Compose([T.Resize(size), T.CenterCrop(size), T.ToTensor(), T.Normalize(MEAN, STD)])
        images = torchvision.datasets.ImageFolder(str(folder), made)
        self.batches: Any = torch.utils.data.DataLoader(images, batch_size=batch, shuffle=True)
        if in_memory:
            self.batches = list(self.batches)
        torch.manual_seed(0)
        self.model = torchvision.models.resnet18(num_classes=len(images.classes))
        if strategy != "full":
            self.model.requires_grad_(False)
            self.model.fc.requires_grad_(True)
        if strategy == "last-stage":
            self.model.layer4.requires_grad_(True)
        self.optimizer = momentum_sgd(self.model)

    def epoch(self) -> float:
        """Train for one epoch. Return its seconds."""
        self.model.train()
        began = time.perf_counter()
        train_on(self.model, self.optimizer, self.batches)
        return time.perf_counter() - began


class TrainedPart:
    """Only the trained part (the last stage and the head), on activations in memory."""

    def __init__(self, batches: int, batch: int, size: int, classes: int) -> None:
        whole = torchvision.models.resnet18(num_classes=classes)
        self.model = nn.Sequential(whole.layer4, whole.avgpool, nn.Flatten(), whole.fc)
        self.optimizer = momentum_sgd(self.model)
        side = -(-size // 16)
        self.batches = [
            (torch.rand(batch, 256, side, side), torch.randint(0, classes, (batch,)))
            for _ in range(batches)
        ]

    def epoch(self) -> float:
        """Take one step per batch. Return the seconds."""
        self.model.train()
        began = time.perf_counter()
        train_on(self.model, self.optimizer, self.batches)
        return time.perf_counter() - began


def train_on(model: nn.Module, optimizer: torch.optim.Optimizer, batches: Any) -> float:
    """Train for one epoch with the textbook loop. Return the mean loss."""
    total, count = 0.0, 0
    for images, labels in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
        count += len(labels)
    return total / count


def momentum_sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=1e-3, momentum=0.9
    )

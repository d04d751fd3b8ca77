"""A session that runs in the test's process, and images for it."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from engine.server.dispatch import Dispatcher
from tl_tui.protocol.commands import Open, ResumeRun
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import SessionOpened

E = TypeVar("E")


class DrivenSession:
    """A session and all events it has emitted."""

    def __init__(self, **config: Any) -> None:
        gc.collect()  # frees earlier models: few Python objects, but much memory
        self.events: list[AnyEvent] = []
        self.session = Dispatcher(self.events.append)
        self._id = 0
        # Save a checkpoint after every epoch, even a fast one.
        self.do(Open, config=RunConfig(**{"checkpoint_seconds": 0.0, **config}))

    @classmethod
    def resumed(cls, run: Path, **fields: Any) -> DrivenSession:
        """Resume a run in a new session."""
        driven = cls.__new__(cls)
        driven.events = []
        driven.session = Dispatcher(driven.events.append)
        driven._id = 0
        driven.do(ResumeRun, run=str(run), **fields)
        return driven

    def do(self, command: type, **fields: Any) -> list[AnyEvent]:
        """Send a command and work until nothing is left. Return the events emitted meanwhile."""
        first = len(self.events)
        self.send(command, **fields)
        while self.session.work():
            pass
        return self.events[first:]

    def send(self, command: type, **fields: Any) -> None:
        self._id += 1
        self.session.handle(command(id=self._id, **fields))

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def last(self, kind: type[E]) -> E:
        return self.all(kind)[-1]

    @property
    def opened(self) -> SessionOpened:
        return self.last(SessionOpened)


def draw_images(root: Path, *, train: int = 12, val: int = 6, size: int = 40) -> Path:
    """Draw an image folder of two separable classes: a dark or a bright square on noise."""
    random = np.random.default_rng(0)
    for part, count in (("train", train), ("val", val)):
        for label, level in (("dark", 40), ("light", 220)):
            folder = root / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(90, 160, (size, size, 3), dtype=np.uint8)
                pixels[size // 4 : -size // 4, size // 4 : -size // 4] = level
                Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return root


def draw_tiny_images(root: Path, *paths: str) -> Path:
    """Draw tiny images at these paths."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), "grey").save(root / path)
    return root

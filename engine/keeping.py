"""Which checkpoints a run keeps, and what stands in them beside weights and state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch
import torchvision

from . import __version__, checkpoint, freezing
from .problem import Problem
from .protocol import AnyEvent, CheckpointSaved, Validated

if TYPE_CHECKING:
    from .course import Course
    from .opened import Opened
    from .record import Record
    from .starts import Starts

FOLDER = "checkpoints"


class Keeping:
    """Saves `last` at the end of an epoch, at a pause and at the end; `best` is a link to it.

    What was there stays whole until the new one is: nothing is lost to a full disk.
    """

    def __init__(
        self,
        opened: Opened,
        course: Course,
        starts: Starts,
        record: Record,
        emit: Callable[[AnyEvent], None],
    ) -> None:
        self.opened, self.course, self.starts = opened, course, starts
        self.record, self.emit = record, emit
        self._saved: tuple[int, int] | None = None
        self._tried: tuple[int, int] | None = None

    def up_to_date(self) -> bool:
        """There is a checkpoint of the weights as they are, or nothing was trained."""
        here = (self.course.start, self.course.step)
        return self._saved == here or self.course.steps_ever == 0

    def tried(self) -> bool:
        """The weights as they are were saved, or could not be and that was told."""
        return self._tried == self._here() or self.up_to_date()

    def save(self, best: Validated | None = None, *, name: str = "last") -> None:
        """Write a checkpoint; a failure is told and not raised: the run goes on.

        Args:
            best: The best validation so far; if it is of these weights they are the best.
            name: Of the checkpoint.
        """
        path = self.record.path / FOLDER / f"{name}.safetensors"
        self._tried = self._here()
        try:
            checkpoint.write(path, self.opened.trainer.snapshot(), self._about(best))
            self._tell(name, path)
            if best is not None and (best.start, best.step) == self._here():
                self._tell("best", checkpoint.link(path, "best.safetensors"))
        except Problem as problem:
            self._tell(name, path, failure=str(problem))
            return
        if name == "last":
            self._saved = self._here()

    def _here(self) -> tuple[int, int]:
        return self.course.start, self.course.step

    def _tell(self, name: str, path: Path, *, failure: str = "") -> None:
        start, step = self._here()
        event = CheckpointSaved(name=name, path=str(path), start=start, step=step, failure=failure)
        self.record.note("checkpoint", **msgspec.structs.asdict(event))
        self.record.sync()
        self.emit(event)

    def _about(self, best: Validated | None) -> dict[str, Any]:
        """Everything that is not a tensor: enough to use the model without the run."""
        opened, course, event = self.opened, self.course, self.opened.event
        trainer, stack = opened.trainer, opened.stack
        origin = self.starts.origin
        return {
            "tl_tui": __version__,
            "torch": str(torch.__version__),
            "torchvision": str(torchvision.__version__),
            "arch": event.arch,
            "weights": origin.weights,
            "classes": list(event.classes),
            "transform": opened.transform,
            "image_size": event.image_size,
            "seed": event.seed,
            "start": course.start,
            "step": course.step,
            "applied": sorted(trainer.applied),
            "trainable": freezing.names_of(stack, trainer.applied),
            "wanted": freezing.names_of(stack, course.wanted),
            "recipe": msgspec.structs.asdict(trainer.recipe),
            "rates": {row.name: rate for row, rate in zip(stack.rows, trainer.rates, strict=True)},
            "cycle": msgspec.structs.asdict(course.cycle),
            "plan": msgspec.to_builtins(course.plan),
            "best": None if best is None else msgspec.to_builtins(best),
        }

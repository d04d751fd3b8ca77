"""Which checkpoints a run keeps, and what stands in them beside weights and state."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch
import torchvision

from engine.hardware import memory_limit
from engine.hardware.memory_errors import ran_out_of_memory
from engine.model import freezing
from engine.training import checkpoint
from tl_tui import __version__
from tl_tui.common.errors import Problem
from tl_tui.protocol.events import AnyEvent, CheckpointSaved

if TYPE_CHECKING:
    from engine.session.context import SessionContext
    from engine.session.settings import Settings
    from engine.session.start_snapshots import StartSnapshots
    from engine.session.validation import Validation
    from engine.training.snapshot import Snapshot
    from tl_tui.runs.journal_writer import JournalWriter

FOLDER = "checkpoints"


class Checkpointing:
    """Saves `last` at the end of an epoch, at a pause and at the end; `best` is a link to it.

    Epochs from cached features can be shorter than a checkpoint takes: within an interval of the
    last one, the end of an epoch only keeps the best weights in memory.

    What was there stays whole until the new one is: nothing is lost to a full disk. Best weights
    that could not be written are kept in memory, and written before anything else is.
    """

    def __init__(
        self,
        context: SessionContext,
        settings: Settings,
        starts: StartSnapshots,
        validation: Validation,
        journal: JournalWriter,
        emit: Callable[[AnyEvent], None],
    ) -> None:
        self.context, self.progress, self.starts = context, settings.progress, starts
        self.settings = settings
        self.validation, self.journal, self.emit = validation, journal, emit
        self._saved: tuple[int, int, int] | None = None
        self._tried: tuple[int, int, int] | None = None
        self._saved_wishes: tuple[Any, ...] = ()
        self._saved_at = -math.inf
        self._unsaved_best: tuple[Snapshot, dict[str, Any]] | None = None

    def up_to_date(self) -> bool:
        """There is a checkpoint of the weights as they are, or nothing was trained."""
        return self._saved == self.progress.here or self.progress.steps_ever == 0

    def complete(self) -> bool:
        """A resume from `last` would find everything as it is, wishes for the coming step too."""
        return self.up_to_date() and self._saved_wishes == self._wishes()

    def _wishes(self) -> tuple[Any, ...]:
        progress, settings, trainer = self.progress, self.settings, self.context.trainer
        modes = dict(settings.norm_modes)
        now = (progress.wanted, settings.strategy, modes, trainer.recipe, trainer.rates)
        return (*now, progress.cycle, progress.plan)

    def tried(self) -> bool:
        """The weights as they are were saved, or could not be and that was told."""
        return self._tried == self.progress.here or self.up_to_date()

    def resumed(self, name: str) -> None:
        """The weights as they are stand in a checkpoint already."""
        self._tried = self.progress.here
        if name == "last":
            self._saved, self._saved_wishes = self.progress.here, self._wishes()

    def save_if_due(self) -> None:
        """An epoch has ended, and there are more to come."""
        if time.monotonic() - self._saved_at >= self.context.config.checkpoint_seconds:
            self.save()
        elif self.validation.best_is_here():
            self._unsaved_best = self.context.trainer.snapshot(), self._about()

    def save(self, name: str = "last") -> None:
        """Write a checkpoint; a failure is told and not raised: the run goes on.

        Args:
            name: Of the checkpoint. `last` becomes `best` too if the best validation is of it.
        """
        self._tried, self._saved_at = self.progress.here, time.monotonic()
        best = name == "last" and self.validation.best_is_here()
        about = self._about()
        try:
            snapshot = self.context.trainer.snapshot()
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            self._tell(name, about, failure=memory_limit.NONE_LEFT)
            return
        if best:
            self._unsaved_best = None  # these are better
        self._save_best_of_before()
        path = self._path(name)
        try:
            checkpoint.write(path, snapshot, about)
        except Problem as problem:
            self._tell(name, about, failure=str(problem))
            if best:
                self._unsaved_best = snapshot, about
            return
        self._tell(name, about)
        if name == "last":
            self._saved, self._saved_wishes = self.progress.here, self._wishes()
        if best:
            try:
                checkpoint.link(path, "best.safetensors")
            except Problem as problem:
                self._tell("best", about, failure=str(problem))
                self._unsaved_best = snapshot, about
            else:
                self._tell("best", about)

    def _save_best_of_before(self) -> None:
        """What was the best and could not be written, if it can be by now."""
        if self._unsaved_best is None:
            return
        snapshot, about = self._unsaved_best
        try:
            checkpoint.write(self._path("best"), snapshot, about)
        except Problem:
            return  # `last` will tell it, as it did when it was tried first
        self._unsaved_best = None
        self._tell("best", about)

    def _path(self, name: str) -> Path:
        return self.journal.path / FOLDER / f"{name}.safetensors"

    def _tell(self, name: str, about: dict[str, Any], *, failure: str = "") -> None:
        event = CheckpointSaved(
            name=name,
            path=str(self._path(name)),
            start=about["start"],
            step=about["step"],
            failure=failure,
        )
        self.journal.note("checkpoint", **msgspec.structs.asdict(event))
        self.journal.sync()
        self.emit(event)

    def _about(self) -> dict[str, Any]:
        """Everything that is not a tensor: enough to use the model without the run."""
        context, progress, event = self.context, self.progress, self.context.event
        trainer, stack = context.trainer, context.stack
        origin, best = self.starts.origin, self.validation.best
        return {
            "tl_tui": __version__,
            "torch": str(torch.__version__),
            "torchvision": str(torchvision.__version__),
            "arch": event.arch,
            "weights": origin.weights,
            "classes": list(event.classes),
            "transform": context.transform,
            "image_size": event.image_size,
            "seed": event.seed,
            "start": progress.start,
            "step": progress.step,
            "applied": sorted(trainer.applied),
            "trainable": freezing.names_of(stack, trainer.applied),
            "wanted": freezing.names_of(stack, progress.wanted),
            "recipe": msgspec.structs.asdict(trainer.recipe),
            "strategy": self.settings.strategy,
            "norm_modes": {
                stack.owners[owner].name: mode for owner, mode in self.settings.norm_modes.items()
            },
            "rates": {row.name: rate for row, rate in zip(stack.rows, trainer.rates, strict=True)},
            "cycle": msgspec.structs.asdict(progress.cycle),
            "plan": msgspec.to_builtins(progress.plan),
            "validated": self.validation.tried(),
            "best": None if best is None else msgspec.to_builtins(best),
        }

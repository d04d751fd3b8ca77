"""Saving a run's checkpoints: when to save which, and their metadata."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch
import torchvision

from engine.data.samples import printable
from engine.hardware import memory_limit
from engine.hardware.memory_errors import ran_out_of_memory
from engine.model import freezing
from engine.training import checkpoint
from tl_tui import __version__
from tl_tui.common.errors import Problem
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.training import CheckpointSaved
from tl_tui.runs.journal_writer import CHECKPOINTS

if TYPE_CHECKING:
    from engine.session.context import SessionContext
    from engine.session.progress import WeightsVersion
    from engine.session.settings import Settings
    from engine.session.start_snapshots import StartSnapshots
    from engine.session.validation import Validation
    from engine.training.snapshot import Snapshot
    from tl_tui.runs.journal_writer import JournalWriter


class Checkpointing:
    """Saves `last` after epochs, at a pause and at the end; `best` is a link to it.

    Epochs on cached features can be shorter than saving takes. Within `checkpoint_seconds` of the
    last save, the end of an epoch only keeps the best weights in memory.

    A checkpoint replaces the previous one only when it is completely written, so a full disk loses
    nothing. Best weights that could not be written stay in memory and are written first next time.
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
        self._saved: WeightsVersion | None = None
        """The weights in `last`."""
        self._attempted: WeightsVersion | None = None
        """The weights that were last to be saved, whether that failed or not."""
        self._saved_settings: tuple[Any, ...] = ()
        self._saved_at = -math.inf
        self._unsaved_best: tuple[Snapshot, dict[str, Any]] | None = None

    def is_complete(self) -> bool:
        """Return whether resuming from `last` would restore both weights and settings as now."""
        return self._is_current() and self._saved_settings == self._next_step_settings()

    def attempted(self) -> bool:
        """Return whether the current weights were saved, or failed to be and that was emitted."""
        return self._attempted == self.progress.weights_version or self._is_current()

    def _is_current(self) -> bool:
        return self._saved == self.progress.weights_version or self.progress.total_steps == 0

    def _next_step_settings(self) -> tuple[Any, ...]:
        progress, settings, trainer = self.progress, self.settings, self.context.trainer
        modes = dict(settings.norm_modes)
        now = (progress.wanted, settings.strategy, modes, trainer.recipe, trainer.rates)
        return (*now, progress.cycle, progress.plan)

    def resumed_from(self, name: str) -> None:
        """Record that the current weights come from a checkpoint of this run."""
        self._attempted = self.progress.weights_version
        if name == "last":
            self._mark_saved()

    def save_if_due(self) -> None:
        """Save after an epoch that is not the last one, unless the last save was just now."""
        if time.monotonic() - self._saved_at >= self.context.config.checkpoint_seconds:
            self.save()
        elif self.validation.best_is_current():
            self._unsaved_best = self.context.trainer.snapshot(), self._metadata()

    def save(self, name: str = "last") -> None:
        """Write a checkpoint. A failure is emitted, not raised: the run continues.

        Args:
            name: The checkpoint's name. `last` also becomes `best` if the current weights have the
                best validation so far.
        """
        self._attempted, self._saved_at = self.progress.weights_version, time.monotonic()
        best = name == "last" and self.validation.best_is_current()
        metadata = self._metadata()
        try:
            snapshot = self.context.trainer.snapshot()
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            self._emit(name, metadata, failure=memory_limit.NONE_LEFT)
            return
        if best:
            self._unsaved_best = None  # the current weights are better
        self._save_earlier_best()
        path = self._path(name)
        try:
            checkpoint.write(path, snapshot, metadata)
        except Problem as problem:
            self._emit(name, metadata, failure=str(problem))
            if best:
                self._unsaved_best = snapshot, metadata
                self._emit("best", metadata, failure=str(problem))
            return
        self._emit(name, metadata)
        if name == "last":
            self._mark_saved()
        if best:
            try:
                checkpoint.link(path, "best.safetensors")
            except Problem as problem:
                self._emit("best", metadata, failure=str(problem))
                self._unsaved_best = snapshot, metadata
            else:
                self._emit("best", metadata)

    def _mark_saved(self) -> None:
        self._saved = self.progress.weights_version
        self._saved_settings = self._next_step_settings()

    def _save_earlier_best(self) -> None:
        """If the best weights so far exist only in memory, write them to a checkpoint."""
        if self._unsaved_best is None:
            return
        snapshot, metadata = self._unsaved_best
        try:
            checkpoint.write(self._path("best"), snapshot, metadata)
        except Problem as problem:
            self._emit("best", metadata, failure=str(problem))
            return
        self._unsaved_best = None
        self._emit("best", metadata)

    def _path(self, name: str) -> Path:
        return self.journal.path / CHECKPOINTS / f"{name}.safetensors"

    def _emit(self, name: str, metadata: dict[str, Any], *, failure: str = "") -> None:
        event = CheckpointSaved(
            name=name,
            path=str(self._path(name)),
            start=metadata["start"],
            step=metadata["step"],
            failure=failure,
        )
        self.journal.note("checkpoint", **msgspec.structs.asdict(event))
        self.journal.sync()
        self.emit(event)

    def _metadata(self) -> dict[str, Any]:
        """Everything but the tensors; enough to use the model without its run directory."""
        context, progress, event = self.context, self.progress, self.context.event
        trainer, stack = context.trainer, context.stack
        best = self.validation.best
        return {
            "tl_tui": __version__,
            "torch": str(torch.__version__),
            "torchvision": str(torchvision.__version__),
            "arch": event.arch,
            "weights": self.starts.current.weights,
            "classes": list(event.classes),
            "transform": context.transform,
            "image_size": event.image_size,
            "seed": event.seed,
            "start": progress.start,
            "step": progress.step,
            "position": trainer.batches.position,
            "batches_per_epoch": progress.batches_per_epoch,
            "left_in_epoch": progress.left_in_epoch,
            "unreadable": [
                printable(trainer.batches.samples[index].path)
                for index in trainer.batches.unreadable
            ],
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
            "validated": self.validation.attempted(),
            "best": None if best is None else msgspec.to_builtins(best),
        }

"""Training: steps, the work at the end of an epoch, and the end of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.data.train_batches import EpochOver
from engine.model import freezing
from engine.session.feature_cache_event import FeatureCacheReporter
from engine.session.step_event import make_step_event
from engine.session.step_failure_event import make_failure_event
from engine.training.step_errors import StepRefused
from tl_tui.common.errors import Problem
from tl_tui.protocol.events import AnyEvent, Refused
from tl_tui.protocol.training import TrainBegan, TrainEnded
from tl_tui.runs.step_line import step_fields

if TYPE_CHECKING:
    from engine.session.checkpointing import Checkpointing
    from engine.session.context import SessionContext
    from engine.session.progress import Mask
    from engine.session.settings import Settings
    from engine.session.start_over import StartOvers
    from engine.session.start_snapshots import StartSnapshots
    from engine.session.step_cost import StepCostEstimator
    from engine.session.validation import SkippedImages, Validation
    from tl_tui.runs.journal_writer import JournalWriter


class TrainingLoop:
    """Takes the steps of a run, validates and saves after epochs, and ends training."""

    def __init__(
        self,
        context: SessionContext,
        settings: Settings,
        validation: Validation,
        starts: StartSnapshots,
        start_overs: StartOvers,
        checkpointing: Checkpointing,
        step_costs: StepCostEstimator,
        skipped: SkippedImages,
        journal: JournalWriter,
        emit: Callable[[AnyEvent], None],
        on_run_dir: Callable[[Path], None],
    ) -> None:
        self.context, self.trainer = context, context.trainer
        self.settings, self.progress = settings, settings.progress
        self.validation, self.starts, self.start_overs = validation, starts, start_overs
        self.checkpointing, self.step_costs, self.skipped = checkpointing, step_costs, skipped
        self.journal, self.emit, self.on_run_dir = journal, emit, on_run_dir
        self.pending: Iterator[None] | None = None
        """The work that is due before the next step of training, one unit per item."""
        self._uses_cache = context.config.feature_cache != "off"
        self._cache_reporter = FeatureCacheReporter(self.trainer, journal, emit)
        self._eager_reason = ""
        """Why steps are not replayed from CUDA graphs, as last emitted."""

    def begin_journal(self) -> None:
        """Create the run directory and begin the journal, unless that was done before."""
        if not self.journal.begun:
            self.journal.begin(self.context.describe())
            self.on_run_dir(self.journal.path)
            self.skipped.report_known()

    # --- the course of training -----------------------------------------------------------------

    def begin(self, to_step: int | None) -> None:
        """Begin training.

        Args:
            to_step: The step at which to end; see `Progress.train`.
        """
        self.begin_journal()
        progress = self.progress
        if progress.step and self._is_end_of_epoch() and not self.validation.attempted():
            self.pending = self._finish_epoch()  # training was paused before this validation
        self.settings.resize_epochs()
        to_step = progress.train(to_step)
        self.journal.note("train", start=progress.start, to_step=to_step)
        self.emit(TrainBegan(start=progress.start, step=progress.step, to_step=to_step))

    def pause(self) -> None:
        """Save a checkpoint and end training, if it is running."""
        if self.progress.train_to is not None:
            self.pending = None
            self.checkpointing.save()
            self.end("paused")
            self.settings.enter_phase()

    def run_pending_unit(self) -> None:
        """Run one unit of the pending work.

        Raises:
            Problem: it failed; what is left of it is dropped.
            MemoryError: the same, for lack of memory.
        """
        assert self.pending is not None
        try:
            if next(self.pending, StopIteration) is StopIteration:
                self.pending = None
        except (Problem, MemoryError):
            self.pending = None
            raise

    def advance(self) -> None:
        """Take the next step of training, or finish the last epoch, or end training."""
        progress = self.progress
        assert progress.train_to is not None
        if progress.step < progress.train_to:
            self._take_next_step(progress.train_to)
        elif not self.validation.attempted() or not self.checkpointing.attempted():
            self.pending = self._finish_epoch()
        else:
            self.end("done")

    def end(self, reason: str) -> None:
        """End training and emit why: `done`, `paused` or `failed`."""
        progress = self.progress
        progress.stop()
        self.journal.note("train_ended", start=progress.start, step=progress.step, reason=reason)
        self.emit(TrainEnded(start=progress.start, step=progress.step, reason=reason))  # type: ignore[arg-type]

    # --- steps ----------------------------------------------------------------------------------

    def take_step(
        self, mask: Mask, strategy: str | None, *, measured: bool, in_training: bool = False
    ) -> None:
        """Take one step, emit it and write it to the journal.

        Args:
            mask: The trainable owners.
            strategy: The strategy that the mask was set with; it begins a cycle of the schedule.
            measured: Whether to measure what the step does at each layer.
            in_training: Whether the step may use cached features and CUDA graphs.

        Raises:
            StepRefused: the step was not applied, and everything is as before it.
            EpochOver: the epoch has no more images that can be read; only in training.
            Problem: the run directory cannot be written.
        """
        self.begin_journal()
        progress, norm_modes = self.progress, self.settings.norm_modes
        if mask != self.trainer.applied or progress.total_steps == 0:
            self._note_mask(mask)
            if strategy is not None and progress.step and progress.plan is None:
                self.settings.begin_cycle(strategy)
        self.start_overs.audit.before_step(mask, norm_modes)
        lr_factor = progress.lr_factor
        result = self.trainer.step(
            mask,
            norm_modes,
            measured=measured,
            lr_factor=lr_factor,
            cached=in_training and self._uses_cache,
            replayed=in_training,
            within_epoch=in_training,
        )
        self.starts.took_step()
        progress.took_step()
        if progress.step == 1:
            progress.first_loss = result.loss
        self.skipped.report(result.batch, "train")
        event = make_step_event(result, progress, mask, lr_factor)
        fields = step_fields(self.context.event.stack.rows, event)
        self.journal.note("step", start=progress.start, **fields)
        # After the step's line in the journal, because it was taken with the schedule before.
        self.settings.resize_epochs()
        self.emit(msgspec.structs.replace(event, seconds_left=progress.seconds_left))

    def emit_not_applied(self, refused: StepRefused, mask: Mask, command: int = 0) -> None:
        """Emit that a step was not applied, and write it to the journal.

        Args:
            refused: The trainer's refusal.
            mask: The trainable owners of the step.
            command: The id of the `Step` command; 0 in training.
        """
        event = make_failure_event(
            refused,
            self.context,
            self.progress,
            self.step_costs.measured,
            mask=mask,
            command=command,
        )
        self.journal.note("step_not_applied", **msgspec.structs.asdict(event))
        self.journal.sync()
        self.emit(event)

    def _take_next_step(self, train_to: int) -> None:
        progress = self.progress
        every, mask = self.context.config.probe_every, progress.wanted
        changed = mask != self.trainer.applied
        try:
            if changed:
                self.step_costs.require_memory(mask)
            # The first step with a new mask is always measured, and the last one before an end.
            last = progress.step + 1 == train_to
            measured = changed or last or every == 1 or progress.step % every == 0
            self.take_step(mask, self.settings.strategy, measured=measured, in_training=True)
            self._cache_reporter.report(progress)
            self._emit_eager_reason()
        except EpochOver:  # its last images have disappeared since they were counted
            self.skipped.report_found(self.trainer.batches)
            self.settings.resize_epochs()
            self.pending = self._finish_epoch()
            return
        except StepRefused as refused:
            self.emit_not_applied(refused, mask)
            self.checkpointing.save()
            self.end("failed")
            return
        except Problem as problem:
            self.emit(Refused(id=0, reason=str(problem)))
            self.end("failed")
            return
        if self._is_end_of_epoch():
            self.pending = self._finish_epoch()
        else:
            self.settings.enter_phase()
            interval = self.context.config.checkpoint_every
            if interval is not None and progress.step % interval == 0:
                self.checkpointing.save()

    def _emit_eager_reason(self) -> None:
        """Emit once why steps are not replayed from CUDA graphs although they should be."""
        graphs = self.trainer.cuda_graphs
        if graphs is not None and graphs.why and graphs.why != self._eager_reason:
            self.journal.note("execution", now="eager", why=graphs.why)
            reason = f"Steps run without CUDA graphs: {graphs.why}."
            self.emit(Refused(id=0, reason=reason, harmless=True))
        self._eager_reason = graphs.why if graphs is not None else ""

    def _note_mask(self, mask: Mask) -> None:
        names = freezing.names_of(self.context.stack, mask)
        step = self.progress.step
        self.journal.note("mask", start=self.progress.start, after_step=step, trainable=names)

    # --- epochs ---------------------------------------------------------------------------------

    def _is_end_of_epoch(self) -> bool:
        return self.trainer.batches.cursor.number == 0

    def _finish_epoch(self) -> Iterator[None]:
        """Validate, save a checkpoint, and enter the next phase of the plan."""
        yield from self.evaluate()
        progress = self.progress
        if progress.train_to is not None and progress.step < progress.train_to:
            self.checkpointing.save_if_due()
        else:
            self.checkpointing.save()
        self.settings.enter_phase()

    def evaluate(self) -> Iterator[None]:
        """Evaluate on all validation images, then measure the weight drift."""
        yield from self.validation.evaluate_all()
        yield from self.measure_weight_drift()

    def measure_weight_drift(self) -> Iterator[None]:
        """Measure how far each layer has moved from the start's weights, and emit it."""
        progress = self.progress
        for event in self.start_overs.weight_drift.measure(lambda: progress.weights_version):
            if event is not None:
                self.emit(event)
            yield

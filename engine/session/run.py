"""A run: the commands of an open session, and the units of work that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from engine.checks.lr_range_test import check_lr_range_test, lr_range_test
from engine.hardware import memory_limit
from engine.session.background_tasks import BackgroundTasks
from engine.session.checkpointing import Checkpointing
from engine.session.context import SessionContext
from engine.session.cross_validation import CrossValidation
from engine.session.progress import Mask, Progress
from engine.session.settings import Settings
from engine.session.start_over import StartOvers
from engine.session.start_snapshots import StartSnapshots
from engine.session.step_cost import StepCostEstimator
from engine.session.training_loop import TrainingLoop
from engine.session.validation import SkippedImages, Validation
from engine.training.step_errors import StepRefused
from tl_tui.common.errors import Problem
from tl_tui.protocol.checks import Audited, LrRangeTested
from tl_tui.protocol.commands import (
    AnyCommand,
    Audit,
    BeginCycle,
    CrossValidate,
    Evaluate,
    MeasureStepCost,
    Pause,
    RestoreLayer,
    SaveCheckpoint,
    SetMask,
    SetNormMode,
    SetPlan,
    SetRate,
    SetRecipe,
    ShowImages,
    ShowResults,
    StartOver,
    Step,
    TestLrRange,
    Train,
    UndoRestoreLayer,
    UndoStartOver,
)
from tl_tui.protocol.events import AnyEvent, Refused, WorkKind
from tl_tui.protocol.training import CheckpointSaved
from tl_tui.runs.journal_writer import JOURNAL, JournalWriter
from tl_tui.settings.recipe import check_recipe

CROSS_VALIDATION = "cross-validation"
MAX_WAITING_STEPS = 1
"""The number of steps that can wait, so that holding the key does not queue more."""


class Run:
    """Handles commands and does the work of a session, one unit at a time.

    A unit is, in this order: a requested step, the work at the end of an epoch, a requested
    background task, the next step of training, and a background task that waited for idle time.
    """

    def __init__(
        self,
        context: SessionContext,
        emit: Callable[[AnyEvent], None],
        on_run_dir: Callable[[Path], None],
    ) -> None:
        """
        Args:
            context: The open session.
            emit: Called with every event, in order.
            on_run_dir: Called with the run directory when it has been created.
        """
        self.context, self.emit, self.on_run_dir = context, emit, on_run_dir
        self.trainer = context.trainer
        self.busy = ""
        """What the current unit of work does, as shown to the user; empty between units."""
        self.work_kind: WorkKind = "other"
        """Whether the current unit of work is a train step."""
        self.journal = JournalWriter(Path(context.event.run_dir))
        self.journal.on_failure = self._emit_journal_failure
        self.progress = Progress(
            wanted=frozenset(context.event.trainable),
            strategies=context.event.strategies,
            recipe=context.event.recipe,
            batches_per_epoch=context.event.batches_per_epoch,
            horizon=context.config.steps,
        )
        self.settings = Settings(context, self.progress, self.journal, emit)
        self.skipped = SkippedImages(context.folder, self.journal, emit)
        self.validation = Validation(context, self.progress, self.journal, emit, self.skipped)
        self.starts = StartSnapshots(context, self.progress)
        self.checkpointing = Checkpointing(
            context, self.settings, self.starts, self.validation, self.journal, emit
        )
        self.start_overs = StartOvers(
            context, self.settings, self.starts, self.checkpointing, self.journal, emit
        )
        self.step_costs = StepCostEstimator(context, emit)
        self.training = TrainingLoop(
            context,
            self.settings,
            self.validation,
            self.starts,
            self.start_overs,
            self.checkpointing,
            self.step_costs,
            self.skipped,
            self.journal,
            emit,
            on_run_dir,
        )
        self._waiting_steps: list[tuple[int, Mask, str | None]] = []
        """Requested steps: (command id, mask, strategy). Each keeps the mask from the time of its
        request, so that a mask set after it applies to the step after it."""
        self._tasks = BackgroundTasks()
        self._wants_step_cost = False
        """Whether the cost of a step was ever requested; then it is measured again when needed."""

    # --- commands -------------------------------------------------------------------------------

    def handle(self, command: AnyCommand) -> str:
        """Carry out a command, or queue it for `work`.

        Returns:
            Why the command is refused; empty if it is not.
        """
        try:
            if self._change_settings(command) or self._change_weights(command):
                self.journal.note("command", **msgspec.to_builtins(command))
            else:
                self._queue_task(command)
        except Problem as problem:
            return str(problem)
        return ""

    def _change_settings(self, command: AnyCommand) -> bool:
        """Carry out a command about the settings of the next step; False if it is none."""
        match command:
            case SetMask():
                self.settings.set_mask(command)
            case SetNormMode():
                self.settings.set_norm_mode(command)
            case SetRecipe():
                check_recipe(command.recipe)
                self._require_no_cross_validation()
                self._tasks.drop_exclusive()
                if self.settings.set_recipe(command.recipe) and self._wants_step_cost:
                    self._queue_step_cost()
            case SetRate():
                self._require_no_cross_validation()
                self._tasks.drop_exclusive()
                self.settings.set_rate(command)
            case BeginCycle():
                self.settings.begin_cycle("requested")
            case SetPlan():
                self.settings.set_plan(command.plan, command.phase_epochs)
            case _:
                return False
        return True

    def _change_weights(self, command: AnyCommand) -> bool:
        """Carry out a command that trains, saves or restores weights; False if it is none."""
        match command:
            case Step():
                if len(self._waiting_steps) >= MAX_WAITING_STEPS:
                    raise Problem("A step is waiting already.")
                self._require_no_cross_validation()
                self.settings.enter_phase()
                self.step_costs.require_memory(self.progress.wanted)
                waiting = (command.id, self.progress.wanted, self.settings.strategy)
                self._waiting_steps.append(waiting)
            case Train():
                self._require_no_cross_validation()
                self.settings.enter_phase()
                self.step_costs.require_memory(self.progress.wanted)
                self._tasks.drop_exclusive()
                self.training.begin(command.steps)
            case Pause():
                self._tasks.drop_exclusive()
                self._tasks.drop("evaluating")
                self.training.pause()
            case StartOver():
                self._require_pause("start over")
                self._require_no_cross_validation()
                self._tasks.drop_all()
                if self.progress.step:
                    self.training.begin_journal()
                self.start_overs.start_over(command)
                self._measure_dropped_step_cost()
            case UndoStartOver():
                self._require_pause("undo a start over")
                self._require_no_cross_validation()
                self._tasks.drop_all()
                self.start_overs.undo_start_over()
                self._measure_dropped_step_cost()
            case RestoreLayer():
                self._require_no_cross_validation()
                self._tasks.drop_exclusive()
                self.start_overs.restore_layers(command.owners)
                self._queue_weight_drift()
            case UndoRestoreLayer():
                self._require_no_cross_validation()
                self._tasks.drop_exclusive()
                self.start_overs.undo_restore_layers()
                self._queue_weight_drift()
            case SaveCheckpoint():
                self.training.begin_journal()
                self.checkpointing.save()
            case _:
                return False
        return True

    def _queue_task(self, command: AnyCommand) -> None:
        """Queue a task that leaves weights and settings as they are."""
        tasks, norm_modes = self._tasks, self.settings.norm_modes
        match command:
            case Audit():
                tasks.add("audit", self._audit())
            case Evaluate():
                tasks.add("evaluating", self._evaluate_and_show())
            case ShowResults():
                tasks.add("results", self._saving_best(self.validation.show_results()))
            case ShowImages(selection=selection, size=size, limit=limit):
                thumbnails = self.validation.show_images(selection, size, limit)
                tasks.add("thumbnails", self._saving_best(thumbnails))
            case TestLrRange():
                self._require_pause("test rates")
                self._require_no_cross_validation()
                check_lr_range_test(self.trainer, self.progress.wanted)
                test = lr_range_test(self.trainer, self.progress.wanted, norm_modes)
                stopped = LrRangeTested(
                    points=(), done=True, reason="The test was stopped before it was finished."
                )
                tasks.add(
                    "range test",
                    self._emitting(test),
                    exclusive=True,
                    on_drop=lambda: self.emit(stopped),
                )
            case MeasureStepCost():
                self._queue_step_cost()
            case CrossValidate():
                self._require_pause("cross-validate")
                folds = CrossValidation(
                    self.context, self.progress, self.starts, norm_modes, command.folds
                )
                self.training.begin_journal()
                tasks.add(
                    CROSS_VALIDATION,
                    self._emitting(folds.run(self.skipped, self.journal)),
                    exclusive=True,
                    on_drop=lambda: self.emit(folds.ended("paused")),
                )
            case _:
                raise Problem("The engine does not know this command.")

    def _require_pause(self, action: str) -> None:
        if self.progress.train_to is not None:
            raise Problem(f"Training runs; pause it before you {action}.")

    def _require_no_cross_validation(self) -> None:
        """Refuse commands that would end a cross-validation, which may have run for minutes."""
        if self._tasks.contains(CROSS_VALIDATION):
            raise Problem(
                "A cross-validation runs and needs the model to itself; wait, or stop it on its "
                "screen (: Cross-validate, p)."
            )

    # --- work -----------------------------------------------------------------------------------

    def work(self) -> bool:
        """Do one unit of work; return False if there is nothing to do."""
        try:
            return self._work_unit()
        finally:
            self.busy, self.work_kind = "", "other"

    def _work_unit(self) -> bool:
        if self._waiting_steps:
            self._take_waiting_step()
            return True
        if self.training.pending is not None:
            self.busy = "validating"
            try:
                self.training.run_pending_unit()
            except (Problem, MemoryError) as problem:
                self._emit_failure(problem)
                if self.progress.train_to is not None:
                    self.training.end("failed")
            return True
        task = self._tasks.next(idle=self.progress.train_to is None)
        if task is not None:
            self.busy = task.name
            try:
                self._tasks.run_unit(task)
            except (Problem, MemoryError) as problem:
                self._emit_failure(problem)
            return True
        if self.progress.train_to is not None:
            self.busy, self.work_kind = "train step", "step"
            self.training.advance()
            return True
        return False

    def _take_waiting_step(self) -> None:
        self.busy, self.work_kind = "train step", "step"
        command, mask, strategy = self._waiting_steps.pop(0)
        self._tasks.drop_exclusive()
        try:
            self.training.take_step(mask, strategy, measured=True)
        except StepRefused as refused:
            self.training.emit_not_applied(refused, mask, command)
            return
        except Problem as problem:
            self.emit(Refused(id=command, reason=str(problem)))
            return
        self.settings.enter_phase()
        yardstick = self.validation.evaluate_yardstick()
        self._tasks.add("evaluating the yardstick", yardstick, idle=True)
        self._queue_weight_drift()

    def close(self) -> None:
        """Save what was trained since the last checkpoint, and close the journal."""
        self._tasks.drop_all()
        unsaved = self.progress.total_steps and not self.checkpointing.is_complete()
        if self.journal.begun and unsaved and self.trainer.whole:
            self.checkpointing.save()
        self.journal.close()
        if self.trainer.feature_cache is not None:
            self.trainer.feature_cache.close()
        self.context.decoder.close()

    # --- background tasks -----------------------------------------------------------------------

    def _emitting(self, units: Iterator[AnyEvent | None]) -> Iterator[None]:
        """Emit the events that a generator yields."""
        try:
            for event in units:
                if event is not None:
                    self.emit(event)
                yield
        finally:
            units.close()  # type: ignore[attr-defined]

    def _saving_best(self, units: Iterator[None]) -> Iterator[None]:
        """Save a checkpoint if a task finds the current weights to be the best so far."""
        before = self.validation.best
        yield from units
        improved = self.validation.best is not before
        if improved and self.validation.best_is_current() and self.progress.total_steps:
            self.checkpointing.save()

    def _audit(self) -> Iterator[None]:
        audit = self.start_overs.audit
        tensors, findings = audit.run(self.progress.wanted, self.settings.norm_modes)
        step = self.progress.step
        self.emit(Audited(tensors=tensors, findings=tuple(findings), step=step))
        yield

    def _evaluate_and_show(self) -> Iterator[None]:
        yield from self._saving_best(self.training.evaluate())
        yield from self.validation.show_results()

    def _queue_weight_drift(self) -> None:
        drift = self.training.measure_weight_drift()
        self._tasks.add("measuring weight drift", drift, idle=True)

    def _measure_dropped_step_cost(self) -> None:
        """Queue the measurement of the step cost again if it was dropped before it was finished."""
        if self._wants_step_cost and self.step_costs.measured is None:
            self._queue_step_cost()

    def _queue_step_cost(self) -> None:
        self._wants_step_cost = True
        self._tasks.add("measuring the cost", self.step_costs.measure(), idle=True)

    # --- failures -------------------------------------------------------------------------------

    def _emit_failure(self, problem: Problem | MemoryError) -> None:
        """Emit a failure that belongs to no command: the one that led to it was confirmed."""
        self.emit(Refused(id=0, reason=str(problem) or memory_limit.NONE_LEFT))

    def _emit_journal_failure(self, sentence: str) -> None:
        progress, path = self.progress, str(self.journal.path / JOURNAL)
        self.emit(
            CheckpointSaved(
                name="journal",
                path=path,
                start=progress.start,
                step=progress.step,
                failure=sentence,
            )
        )

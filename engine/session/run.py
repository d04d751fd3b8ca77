"""A run: commands in, train steps and looks at them out, and the journal of it all.

Commands are done at once or noted; `work()` does one unit: a step asked for, what the end of an
epoch brings, what was asked for beside, the next step of training, and, when nothing else is to be
done, what can wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from engine.checks.lr_range_test import check_lr_range_test, lr_range_test
from engine.hardware import memory_limit
from engine.model import freezing
from engine.session.background_tasks import BackgroundTasks
from engine.session.checkpointing import Checkpointing
from engine.session.context import SessionContext
from engine.session.cross_validation import CrossValidation
from engine.session.feature_cache_event import FeatureCacheReporter
from engine.session.progress import Mask, Progress
from engine.session.settings import Settings
from engine.session.start_over import StartOvers
from engine.session.start_snapshots import StartSnapshots
from engine.session.step_cost import StepCostEstimator
from engine.session.step_event import make_step_event
from engine.session.step_failure_event import make_failure_event
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
from tl_tui.protocol.events import AnyEvent, Refused
from tl_tui.protocol.training import CheckpointSaved, EndReason, TrainBegan, TrainEnded
from tl_tui.runs.journal_writer import JournalWriter
from tl_tui.runs.step_line import step_fields
from tl_tui.settings.recipe import check_recipe

FOLDS = "cross-validation"
MAX_WAITING_STEPS = 1
"""A held key must not queue up steps behind the one that runs."""


class Run:
    """Turns commands into trainer calls and trainer results into events; owns the journal."""

    def __init__(
        self,
        context: SessionContext,
        emit: Callable[[AnyEvent], None],
        on_run_dir: Callable[[Path], None],
    ) -> None:
        self.context, self.emit, self.on_run_dir = context, emit, on_run_dir
        self.trainer = context.trainer
        self.busy = ""
        """What the unit that runs is, in words; empty between units."""
        self.journal = JournalWriter(Path(context.event.run_dir))
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
        self._caches = context.config.feature_cache != "off"
        self._eager_because = ""
        self.cache_reporter = FeatureCacheReporter(self.trainer, self.journal, emit)
        self.journal.on_failure = self._tell_journal
        self._waiting_steps: list[tuple[int, Mask, str | None]] = []
        """Each with its command and the mask it was asked for with: a toggle right behind it is
        for the next one."""
        self._side = BackgroundTasks()
        self._between: Iterator[None] | None = None
        """What has to be done before training takes its next step."""
        self.step_costs = StepCostEstimator(context, emit)
        self._price_wanted = False

    # --- commands -------------------------------------------------------------------------------

    def handle(self, command: AnyCommand) -> str:
        """Do a command or note it; returns why it is refused, empty if it is not."""
        try:
            if self._steer(command) or self._train_or_stop(command):
                self.journal.note("command", **msgspec.to_builtins(command))
            else:
                self._look(command)
        except Problem as problem:
            return str(problem)
        return ""

    def _steer(self, command: AnyCommand) -> bool:
        """What is wanted of the next step; False if the command is none of these."""
        match command:
            case SetMask():
                self.settings.set_mask(command)
            case SetNormMode():
                self.settings.set_norm_mode(command)
            case SetRecipe():
                check_recipe(command.recipe)
                self._need_no_folds()
                self._side.drop_exclusive()
                if self.settings.set_recipe(command.recipe) and self._price_wanted:
                    self._put_price()
            case SetRate():
                self._need_no_folds()
                self._side.drop_exclusive()
                self.settings.set_rate(command)
            case BeginCycle():
                self.settings.begin_cycle("asked for")
            case SetPlan():
                self.settings.set_plan(command.plan, command.phase_epochs)
            case _:
                return False
        return True

    def _train_or_stop(self, command: AnyCommand) -> bool:
        """What moves the weights; False if the command is none of these."""
        match command:
            case Step():
                if len(self._waiting_steps) >= MAX_WAITING_STEPS:
                    raise Problem("A step is waiting already.")
                self._need_no_folds()
                self.settings.enter_phase()
                self.step_costs.need_memory(self.progress.wanted)
                waiting = (command.id, self.progress.wanted, self.settings.strategy)
                self._waiting_steps.append(waiting)
            case Train():
                self._need_no_folds()
                self.settings.enter_phase()
                self.step_costs.need_memory(self.progress.wanted)
                self._train(command.steps)
            case Pause():
                self._pause()
            case StartOver():
                self._need_rest("start over")
                self._need_no_folds()
                self._side.drop_all()
                if self.progress.step:
                    self._begin_record()
                self.start_overs.start_over(command)
            case UndoStartOver():
                self._need_rest("take a start over back")
                self._need_no_folds()
                self._side.drop_all()
                self.start_overs.undo_start_over()
            case RestoreLayer():
                self._need_no_folds()
                self._side.drop_exclusive()
                self.start_overs.return_layer(command.owners)
                self._put_moved()
            case UndoRestoreLayer():
                self._need_no_folds()
                self._side.drop_exclusive()
                self.start_overs.undo_return_layer()
                self._put_moved()
            case SaveCheckpoint():
                self._begin_record()
                self.checkpointing.save()
            case _:
                return False
        return True

    def _look(self, command: AnyCommand) -> None:
        """What changes nothing in the run."""
        side, settings = self._side, self.settings
        match command:
            case Audit():
                side.put("audit", self._audit())
            case Evaluate():
                side.put("evaluating", self._evaluate_by_hand())
            case ShowResults():
                side.put("results", self._keeping_the_best(self.validation.results()))
            case ShowImages(selection=what, size=pixels, limit=most):
                pictures = self.validation.images(what, pixels, most)
                side.put("pictures", self._keeping_the_best(pictures))
            case TestLrRange():
                self._need_rest("test rates")
                self._need_no_folds()
                check_lr_range_test(self.trainer, self.progress.wanted)
                test = lr_range_test(self.trainer, self.progress.wanted, settings.norm_modes)
                ended = LrRangeTested(
                    points=(), done=True, reason="The test was ended before its end."
                )
                side.put(
                    "range test",
                    self._emitting(test),
                    exclusive=True,
                    dropped=lambda: self.emit(ended),
                )
            case MeasureStepCost():
                self._put_price()
            case CrossValidate():
                self._need_rest("cross-validate")
                folds = CrossValidation(
                    self.context, self.progress, self.starts, settings.norm_modes, command.folds
                )
                self._begin_record()
                told = self._emitting(folds.run(self.skipped, self.journal))
                side.put(
                    FOLDS,
                    told,
                    exclusive=True,
                    dropped=lambda: self.emit(folds.ended("paused")),
                )
            case _:
                raise Problem("The engine does not know this command.")

    def _need_rest(self, what: str) -> None:
        if self.progress.train_to is not None:
            raise Problem(f"Training runs; pause it before you {what}.")

    def _need_no_folds(self) -> None:
        """A cross-validation has the trainer for minutes; no key shall end it in passing."""
        if self._side.there(FOLDS):
            raise Problem(
                "A cross-validation runs and has the model to itself; wait, or stop it on its "
                "screen (: Cross-validate, p)."
            )

    # --- work -----------------------------------------------------------------------------------

    def work(self) -> bool:
        """Do one unit of work; False if there is nothing to do."""
        try:
            return self._unit()
        finally:
            self.busy = ""

    def _unit(self) -> bool:
        if self._waiting_steps:
            command, mask, strategy = self._waiting_steps.pop(0)
            self._side.drop_exclusive()
            try:
                self._take_step(mask, strategy, measured=True)
            except StepRefused as refused:
                self._tell_not_applied(refused, mask, command)
                return True
            except Problem as problem:
                self.emit(Refused(id=command, reason=str(problem)))
                return True
            self.settings.enter_phase()
            self._side.put("evaluating the yardstick", self.validation.yardstick(), idle=True)
            self._put_moved()
            return True
        if self._between is not None:
            self.busy = "validating"
            try:
                if next(self._between, StopIteration) is StopIteration:
                    self._between = None
            except (Problem, MemoryError) as problem:
                self._between = None
                self.emit(Refused(id=0, reason=str(problem) or memory_limit.NONE_LEFT))
                if self.progress.train_to is not None:
                    self._end_training("failed")
            return True
        piece = self._side.next(idle=self.progress.train_to is None)
        if piece is not None:
            self.busy = piece.name
            try:
                self._side.do_unit(piece)
            except (Problem, MemoryError) as problem:  # of no command: it began long ago
                self.emit(Refused(id=0, reason=str(problem) or memory_limit.NONE_LEFT))
            return True
        if self.progress.train_to is not None:
            self._train_further()
            return True
        return False

    def close(self) -> None:
        """Save what was trained since the last checkpoint, and flush the journal."""
        self._side.drop_all()
        unsaved = self.progress.steps_ever and not self.checkpointing.complete()
        if self.journal.begun and unsaved and self.trainer.whole:
            self.checkpointing.save()
        self.journal.close()
        if self.trainer.feature_cache is not None:
            self.trainer.feature_cache.close()
        self.context.decoder.close()

    def _emitting(self, units: Iterator[AnyEvent | None]) -> Iterator[None]:
        """What a piece of work yields goes out."""
        try:
            for event in units:
                if event is not None:
                    self.emit(event)
                yield
        finally:
            units.close()  # type: ignore[attr-defined]

    # --- steps ----------------------------------------------------------------------------------

    def _train(self, steps: int | None) -> None:
        self._side.drop_exclusive()
        self._begin_record()
        progress = self.progress
        position = self.trainer.batches.position
        if (
            progress.step
            and position % progress.batches_per_epoch == 0
            and not self.validation.tried()
        ):
            self._between = self._end_of_epoch()  # a pause came between an epoch and its validation
        to_step = progress.train(steps)
        self.journal.note("train", start=progress.start, to_step=to_step)
        self.emit(TrainBegan(start=progress.start, step=progress.step, to_step=to_step))

    def _pause(self) -> None:
        self._side.drop_exclusive()
        self._side.drop("evaluating")
        if self.progress.train_to is not None:
            self._between = None
            self.checkpointing.save()
            self._end_training("paused")
            self.settings.enter_phase()

    def _train_further(self) -> None:
        progress = self.progress
        assert progress.train_to is not None
        if progress.step < progress.train_to:
            every, mask = self.context.config.probe_every, progress.wanted
            changed = mask != self.trainer.applied
            try:
                if changed:
                    self.step_costs.need_memory(mask)
                # A layer that has just been thawed is looked at before its turn.
                last = progress.step + 1 == progress.train_to
                measured = changed or last or every == 1 or progress.step % every == 0
                self._take_step(mask, self.settings.strategy, measured=measured, in_a_run=True)
                self.cache_reporter.tell(whole=measured)
                self._tell_execution()
            except StepRefused as refused:
                self._tell_not_applied(refused, mask)
                self.checkpointing.save()
                self._end_training("failed")
                return
            except Problem as problem:
                self.emit(Refused(id=0, reason=str(problem)))
                self._end_training("failed")
                return
            if self.trainer.batches.position % progress.batches_per_epoch == 0:
                self._between = self._end_of_epoch()
            else:
                self.settings.enter_phase()
                interval = self.context.config.checkpoint_every
                if interval is not None and progress.step % interval == 0:
                    self.checkpointing.save()
        elif not self.validation.tried() or not self.checkpointing.tried():
            self._between = self._end_of_epoch()
        else:
            self._end_training("done")

    def _end_of_epoch(self) -> Iterator[None]:
        yield from self._evaluate()
        progress = self.progress
        if progress.train_to is not None and progress.step < progress.train_to:
            self.checkpointing.save_if_due()
        else:
            self.checkpointing.save()
        self.settings.enter_phase()

    def _evaluate(self) -> Iterator[None]:
        yield from self.validation.whole()
        yield from self._measure_moved()

    def _evaluate_by_hand(self) -> Iterator[None]:
        yield from self._keeping_the_best(self._evaluate())
        yield from self.validation.results()

    def _keeping_the_best(self, units: Iterator[None]) -> Iterator[None]:
        """Weights that a look found to be the best so far are saved, whenever that was."""
        before = self.validation.best
        yield from units
        found = self.validation.best is not before
        if found and self.validation.best_is_here() and self.progress.steps_ever:
            self.checkpointing.save()

    def _take_step(
        self, mask: Mask, strategy: str | None, *, measured: bool, in_a_run: bool = False
    ) -> None:
        self.busy = "train step"
        self._begin_record()
        progress, norm_modes = self.progress, self.settings.norm_modes
        if mask != self.trainer.applied or progress.steps_ever == 0:
            self._note_mask(mask)
            if strategy is not None and progress.step and progress.plan is None:
                self.settings.begin_cycle(strategy)
        self.start_overs.audit.about_to_step(mask, norm_modes)
        factor = progress.lr_factor
        result = self.trainer.step(
            mask,
            norm_modes,
            measured=measured,
            lr_factor=factor,
            cached=in_a_run and self._caches,
            replayed=in_a_run,
        )
        self.starts.took_step()
        progress.took_step()
        self.skipped.tell(result.batch, "train")
        event = make_step_event(result, progress, mask, factor)
        fields = step_fields(self.context.event.stack.rows, event)
        self.journal.note("step", start=progress.start, **fields)
        self.emit(event)

    def _tell_execution(self) -> None:
        """Say once why steps that were to be captured are not."""
        captured = self.trainer.cuda_graphs
        if captured is not None and captured.why and captured.why != self._eager_because:
            self.journal.note("execution", now="eager", why=captured.why)
            self.emit(Refused(id=0, reason=f"Steps are taken eagerly: {captured.why}."))
        self._eager_because = captured.why if captured is not None else ""

    def _tell_not_applied(self, refused: StepRefused, mask: Mask, command: int = 0) -> None:
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

    def _end_training(self, reason: EndReason) -> None:
        progress = self.progress
        progress.stop()
        self.journal.note("train_ended", start=progress.start, step=progress.step, reason=reason)
        self.emit(TrainEnded(start=progress.start, step=progress.step, reason=reason))

    # --- looking without changing ---------------------------------------------------------------

    def _audit(self) -> Iterator[None]:
        audit = self.start_overs.audit
        tensors, findings = audit.run(self.progress.wanted, self.settings.norm_modes)
        self.emit(Audited(tensors=tensors, findings=tuple(findings)))
        yield

    def _put_moved(self) -> None:
        self._side.put("measuring distances", self._measure_moved(), idle=True)

    def _measure_moved(self) -> Iterator[None]:
        yield from self._emitting(self.start_overs.moved.measure(self.progress.step))

    def _put_price(self) -> None:
        self._price_wanted = True
        self._side.put("measuring the price", self.step_costs.measure(), idle=True)

    # --- the journal ----------------------------------------------------------------------------

    def _begin_record(self) -> None:
        if not self.journal.begun:
            self.journal.begin(self.context.describe())
            self.on_run_dir(self.journal.path)

    def _tell_journal(self, sentence: str) -> None:
        progress, path = self.progress, str(self.journal.path / "journal.jsonl")
        self.emit(
            CheckpointSaved(
                name="journal",
                path=path,
                start=progress.start,
                step=progress.step,
                failure=sentence,
            )
        )

    def _note_mask(self, mask: Mask) -> None:
        names = freezing.names_of(self.context.stack, mask)
        step = self.progress.step
        self.journal.note("mask", start=self.progress.start, after_step=step, trainable=names)

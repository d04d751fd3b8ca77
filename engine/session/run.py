"""A run: commands in, train steps and looks at them out, and the journal of it all.

Commands are done at once or noted; `work()` does one unit: a step asked for, what the end of an
epoch brings, what was asked for beside, the next step of training, and, when nothing else is to be
done, what can wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from engine.checks.lr_range_test import check_range_test, range_test
from engine.hardware import memory_limit
from engine.model import freezing
from engine.session.background_tasks import SideWork
from engine.session.checkpointing import Keeping
from engine.session.context import Opened
from engine.session.cross_validation import CrossValidation
from engine.session.feature_cache_event import FeatureTelling
from engine.session.progress import Course, Mask
from engine.session.settings import Steering
from engine.session.start_over import Restarting
from engine.session.start_snapshots import Starts
from engine.session.step_cost import Pricing
from engine.session.step_event import step_taken
from engine.session.step_failure_event import not_applied
from engine.session.validation import Skipped, Validation
from engine.training.step_errors import StepRefused
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import (
    AnyCommand,
    Audit,
    BeginCycle,
    CrossValidate,
    Evaluate,
    MeasurePrice,
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
    TestRange,
    Train,
    UndoRestoreLayer,
    UndoStartOver,
)
from tl_tui.protocol.events import (
    AnyEvent,
    Audited,
    CheckpointSaved,
    RangeTested,
    Refused,
    TrainBegan,
    TrainEnded,
)
from tl_tui.runs.journal_writer import Record
from tl_tui.runs.step_line import step_fields
from tl_tui.settings.recipe import check_recipe

FOLDS = "cross-validation"
MAX_WAITING_STEPS = 1
"""A held key must not queue up steps behind the one that runs."""


class Run:
    """Turns commands into trainer calls and trainer results into events; owns the journal."""

    def __init__(
        self, opened: Opened, emit: Callable[[AnyEvent], None], on_run_dir: Callable[[Path], None]
    ) -> None:
        self.opened, self.emit, self.on_run_dir = opened, emit, on_run_dir
        self.trainer = opened.trainer
        self.busy = ""
        """What the unit that runs is, in words; empty between units."""
        self.record = Record(Path(opened.event.run_dir))
        self.course = Course(
            wanted=frozenset(opened.event.wanted),
            strategies=opened.event.strategies,
            recipe=opened.event.recipe,
            batches_per_epoch=opened.event.batches_per_epoch,
            horizon=opened.config.steps,
        )
        self.steering = Steering(opened, self.course, self.record, emit)
        self.skipped = Skipped(opened.folder, self.record, emit)
        self.validation = Validation(opened, self.course, self.record, emit, self.skipped)
        self.starts = Starts(opened, self.course)
        self.keeping = Keeping(
            opened, self.steering, self.starts, self.validation, self.record, emit
        )
        self.restarting = Restarting(
            opened, self.steering, self.starts, self.keeping, self.record, emit
        )
        self._caches = opened.config.feature_cache != "off"
        self._eager_because = ""
        self.telling = FeatureTelling(self.trainer, self.record, emit)
        self.record.on_failure = self._tell_journal
        self._waiting_steps: list[tuple[int, Mask, str | None]] = []
        """Each with its command and the mask it was asked for with: a toggle right behind it is
        for the next one."""
        self._side = SideWork()
        self._between: Iterator[None] | None = None
        """What has to be done before training takes its next step."""
        self.pricing = Pricing(opened, emit)
        self._price_wanted = False

    # --- commands -------------------------------------------------------------------------------

    def handle(self, command: AnyCommand) -> str:
        """Do a command or note it; returns why it is refused, empty if it is not."""
        try:
            if self._steer(command) or self._train_or_stop(command):
                self.record.note("command", **msgspec.to_builtins(command))
            else:
                self._look(command)
        except Problem as problem:
            return str(problem)
        return ""

    def _steer(self, command: AnyCommand) -> bool:
        """What is wanted of the next step; False if the command is none of these."""
        match command:
            case SetMask():
                self.steering.set_mask(command)
            case SetNormMode():
                self.steering.set_norm_mode(command)
            case SetRecipe():
                check_recipe(command.recipe)
                self._need_no_folds()
                self._side.drop_exclusive()
                if self.steering.set_recipe(command.recipe) and self._price_wanted:
                    self._put_price()
            case SetRate():
                self._need_no_folds()
                self._side.drop_exclusive()
                self.steering.set_rate(command)
            case BeginCycle():
                self.steering.begin_cycle("asked for")
            case SetPlan():
                self.steering.set_plan(command.plan, command.phase_epochs)
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
                self.steering.enter_phase()
                self.pricing.need_memory(self.course.wanted)
                waiting = (command.id, self.course.wanted, self.steering.strategy)
                self._waiting_steps.append(waiting)
            case Train():
                self._need_no_folds()
                self.steering.enter_phase()
                self.pricing.need_memory(self.course.wanted)
                self._train(command.steps)
            case Pause():
                self._pause()
            case StartOver():
                self._need_rest("start over")
                self._need_no_folds()
                self._side.drop_all()
                if self.course.step:
                    self._begin_record()
                self.restarting.start_over(command)
            case UndoStartOver():
                self._need_rest("take a start over back")
                self._need_no_folds()
                self._side.drop_all()
                self.restarting.undo_start_over()
            case RestoreLayer():
                self._need_no_folds()
                self._side.drop_exclusive()
                self.restarting.return_layer(command.owners)
                self._put_moved()
            case UndoRestoreLayer():
                self._need_no_folds()
                self._side.drop_exclusive()
                self.restarting.undo_return_layer()
                self._put_moved()
            case SaveCheckpoint():
                self._begin_record()
                self.keeping.save()
            case _:
                return False
        return True

    def _look(self, command: AnyCommand) -> None:
        """What changes nothing in the run."""
        side, steering = self._side, self.steering
        match command:
            case Audit():
                side.put("audit", self._audit())
            case Evaluate():
                side.put("evaluating", self._evaluate_by_hand())
            case ShowResults():
                side.put("results", self._keeping_the_best(self.validation.results()))
            case ShowImages(what=what, side=pixels, most=most):
                pictures = self.validation.images(what, pixels, most)
                side.put("pictures", self._keeping_the_best(pictures))
            case TestRange():
                self._need_rest("test rates")
                self._need_no_folds()
                check_range_test(self.trainer, self.course.wanted)
                test = range_test(self.trainer, self.course.wanted, steering.norm_modes)
                ended = RangeTested(points=(), done=True, why="The test was ended before its end.")
                side.put(
                    "range test",
                    self._emitting(test),
                    exclusive=True,
                    dropped=lambda: self.emit(ended),
                )
            case MeasurePrice():
                self._put_price()
            case CrossValidate():
                self._need_rest("cross-validate")
                folds = CrossValidation(
                    self.opened, self.course, self.starts, steering.norm_modes, command.folds
                )
                self._begin_record()
                told = self._emitting(folds.run(self.skipped, self.record))
                side.put(
                    FOLDS,
                    told,
                    exclusive=True,
                    dropped=lambda: self.emit(folds.ended("paused")),
                )
            case _:
                raise Problem("The engine does not know this command.")

    def _need_rest(self, what: str) -> None:
        if self.course.train_to is not None:
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
            self.steering.enter_phase()
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
                if self.course.train_to is not None:
                    self._end_training("failed")
            return True
        piece = self._side.next(idle=self.course.train_to is None)
        if piece is not None:
            self.busy = piece.name
            try:
                self._side.do_unit(piece)
            except (Problem, MemoryError) as problem:  # of no command: it began long ago
                self.emit(Refused(id=0, reason=str(problem) or memory_limit.NONE_LEFT))
            return True
        if self.course.train_to is not None:
            self._train_further()
            return True
        return False

    def close(self) -> None:
        """Save what was trained since the last checkpoint, and flush the journal."""
        self._side.drop_all()
        unsaved = self.course.steps_ever and not self.keeping.complete()
        if self.record.begun and unsaved and self.trainer.whole:
            self.keeping.save()
        self.record.close()
        if self.trainer.features is not None:
            self.trainer.features.close()
        self.opened.decoder.close()

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
        course = self.course
        position = self.trainer.batches.position
        if course.step and position % course.batches_per_epoch == 0 and not self.validation.tried():
            self._between = self._end_of_epoch()  # a pause came between an epoch and its validation
        to_step = course.train(steps)
        self.record.note("train", start=course.start, to_step=to_step)
        self.emit(TrainBegan(start=course.start, step=course.step, to_step=to_step))

    def _pause(self) -> None:
        self._side.drop_exclusive()
        self._side.drop("evaluating")
        if self.course.train_to is not None:
            self._between = None
            self.keeping.save()
            self._end_training("paused")
            self.steering.enter_phase()

    def _train_further(self) -> None:
        course = self.course
        assert course.train_to is not None
        if course.step < course.train_to:
            every, mask = self.opened.config.probe_every, course.wanted
            changed = mask != self.trainer.applied
            try:
                if changed:
                    self.pricing.need_memory(mask)
                # A layer that has just been thawed is looked at before its turn.
                last = course.step + 1 == course.train_to
                measured = changed or last or every == 1 or course.step % every == 0
                self._take_step(mask, self.steering.strategy, measured=measured, in_a_run=True)
                self.telling.tell(whole=measured)
                self._tell_execution()
            except StepRefused as refused:
                self._tell_not_applied(refused, mask)
                self.keeping.save()
                self._end_training("failed")
                return
            except Problem as problem:
                self.emit(Refused(id=0, reason=str(problem)))
                self._end_training("failed")
                return
            if self.trainer.batches.position % course.batches_per_epoch == 0:
                self._between = self._end_of_epoch()
            else:
                self.steering.enter_phase()
                interval = self.opened.config.checkpoint_every
                if interval is not None and course.step % interval == 0:
                    self.keeping.save()
        elif not self.validation.tried() or not self.keeping.tried():
            self._between = self._end_of_epoch()
        else:
            self._end_training("done")

    def _end_of_epoch(self) -> Iterator[None]:
        yield from self._evaluate()
        course = self.course
        if course.train_to is not None and course.step < course.train_to:
            self.keeping.save_if_due()
        else:
            self.keeping.save()
        self.steering.enter_phase()

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
        if found and self.validation.best_is_here() and self.course.steps_ever:
            self.keeping.save()

    def _take_step(
        self, mask: Mask, strategy: str | None, *, measured: bool, in_a_run: bool = False
    ) -> None:
        self.busy = "train step"
        self._begin_record()
        course, norm_modes = self.course, self.steering.norm_modes
        if mask != self.trainer.applied or course.steps_ever == 0:
            self._note_mask(mask)
            if strategy is not None and course.step and course.plan is None:
                self.steering.begin_cycle(strategy)
        self.restarting.audit.about_to_step(mask, norm_modes)
        factor = course.lr_factor
        result = self.trainer.step(
            mask,
            norm_modes,
            measured=measured,
            lr_factor=factor,
            cached=in_a_run and self._caches,
            replayed=in_a_run,
        )
        self.starts.took_step()
        course.took_step()
        self.skipped.tell(result.batch, "train")
        event = step_taken(result, course, mask, factor)
        fields = step_fields(self.opened.event.stack.rows, event)
        self.record.note("step", start=course.start, **fields)
        self.emit(event)

    def _tell_execution(self) -> None:
        """Say once why steps that were to be captured are not."""
        captured = self.trainer.captured
        if captured is not None and captured.why and captured.why != self._eager_because:
            self.record.note("execution", now="eager", why=captured.why)
            self.emit(Refused(id=0, reason=f"Steps are taken eagerly: {captured.why}."))
        self._eager_because = captured.why if captured is not None else ""

    def _tell_not_applied(self, refused: StepRefused, mask: Mask, command: int = 0) -> None:
        event = not_applied(
            refused, self.opened, self.course, self.pricing.measured, mask=mask, command=command
        )
        self.record.note("step_not_applied", **msgspec.structs.asdict(event))
        self.record.sync()
        self.emit(event)

    def _end_training(self, reason: str) -> None:
        course = self.course
        course.stop()
        self.record.note("train_ended", start=course.start, step=course.step, reason=reason)
        self.emit(TrainEnded(start=course.start, step=course.step, reason=reason))  # type: ignore[arg-type]

    # --- looking without changing ---------------------------------------------------------------

    def _audit(self) -> Iterator[None]:
        audit = self.restarting.audit
        tensors, findings = audit.run(self.course.wanted, self.steering.norm_modes)
        self.emit(Audited(tensors=tensors, findings=tuple(findings)))
        yield

    def _put_moved(self) -> None:
        self._side.put("measuring distances", self._measure_moved(), idle=True)

    def _measure_moved(self) -> Iterator[None]:
        yield from self._emitting(self.restarting.moved.measure(self.course.step))

    def _put_price(self) -> None:
        self._price_wanted = True
        self._side.put("measuring the price", self.pricing.measure(), idle=True)

    # --- the journal ----------------------------------------------------------------------------

    def _begin_record(self) -> None:
        if not self.record.begun:
            self.record.begin(self.opened.describe())
            self.on_run_dir(self.record.path)

    def _tell_journal(self, sentence: str) -> None:
        course, path = self.course, str(self.record.path / "journal.jsonl")
        self.emit(
            CheckpointSaved(
                name="journal", path=path, start=course.start, step=course.step, failure=sentence
            )
        )

    def _note_mask(self, mask: Mask) -> None:
        names = freezing.names_of(self.opened.stack, mask)
        step = self.course.step
        self.record.note("mask", start=self.course.start, after_step=step, trainable=names)

"""One session: commands in, events out, and between them small units of work.

The server asks `work()` for one unit at a time and looks at the commands in between: a stage of
opening, a train step, a batch of the yardstick. So everything long can be paused and stopped.

torch is imported by the first stage of opening, not by this module: the socket answers before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from .problem import Problem
from .protocol import (
    AnyCommand,
    AnyEvent,
    Audit,
    Audited,
    Confirmed,
    Hello,
    ImageSkipped,
    LoadingProgressed,
    NormMode,
    NormModeChanged,
    Open,
    OpenFailed,
    Pause,
    Refused,
    RunConfig,
    SetMask,
    SetNormMode,
    Shutdown,
    StartedOver,
    StartOver,
    StartOverUndone,
    Step,
    StepTaken,
    Train,
    TrainEnded,
    UndoStartOver,
    Validated,
)
from .record import Record, step_fields

if TYPE_CHECKING:
    from .data import Batch
    from .opening import Opened
    from .trainer import Snapshot, StepResult

MAX_WAITING_STEPS = 1
"""A held key must not queue up steps behind the one that runs."""


class Session:
    """Turns commands into trainer calls and trainer results into events; owns the journal."""

    def __init__(
        self,
        emit: Callable[[AnyEvent], None],
        on_run_dir: Callable[[Path], None] = lambda _: None,
    ) -> None:
        """
        Args:
            emit: Takes every event, in order.
            on_run_dir: Told the run directory when it has been made.
        """
        self.emit = emit
        self.on_run_dir = on_run_dir
        self.busy = ""
        """What the unit that runs is, in words; empty between units."""
        self._opening: Iterator[Opened | None] | None = None
        self._opened: Opened | None = None
        self._wanted: frozenset[int] = frozenset()
        self._norm_modes: dict[int, NormMode] = {}
        self._waiting_steps: list[frozenset[int]] = []
        """The mask that each was asked for with: a toggle right behind it is for the next one."""
        self._train_to: int | None = None
        self._audit_wanted = False
        self._side_work: Iterator[None] | None = None
        self._start = 0
        self._step = 0
        self._steps_ever = 0
        self._skipped: set[str] = set()
        self._initial: Snapshot | None = None
        self._before_start_over: tuple[Snapshot, int, int] | None = None
        self.record: Record | None = None

    # --- commands -------------------------------------------------------------------------------

    def handle(self, command: AnyCommand) -> None:
        """Do a command or note it for `work()`; answers with one Confirmed or Refused."""
        if isinstance(command, (Hello, Shutdown)):
            return  # the server's own
        refusal = self._open(command) if isinstance(command, Open) else self._do(command)
        if refusal:
            self.emit(Refused(id=command.id, reason=refusal))
        else:
            self.emit(Confirmed(id=command.id))

    def _open(self, command: Open) -> str:
        if self._opened or self._opening:
            return "A session is open already."
        self._opening = self._stages(command.config)
        return ""

    def _stages(self, config: RunConfig) -> Iterator[Opened | None]:
        """The stages of opening; the import of torch is the first."""
        self.emit(LoadingProgressed(stage="torch", done=False))
        yield None
        began = time.perf_counter()
        from .opening import open_session, torch_versions

        seconds = time.perf_counter() - began
        detail = torch_versions()
        self.emit(LoadingProgressed(stage="torch", done=True, detail=detail, seconds=seconds))
        yield from open_session(config, self.emit)

    def _do(self, command: AnyCommand) -> str:
        """Returns why it is refused; empty if it is done or noted."""
        if self._opened is None:
            return "The session is not open yet."
        count = len(self._opened.stack.owners)
        match command:
            case SetMask():
                if any(not 0 <= owner < count for owner in command.trainable):
                    return f"The mask names owners that this model does not have ({count})."
                self._wanted = frozenset(command.trainable)
            case SetNormMode():
                norms = {i for i, o in enumerate(self._opened.stack.owners) if o.keeps_statistics}
                if not norms.issuperset(command.owners):
                    return "Only BatchNorms that keep running statistics have modes."
                self._set_norm_mode(command)
            case Step():
                if len(self._waiting_steps) >= MAX_WAITING_STEPS:
                    return "A step is waiting already."
                self._waiting_steps.append(self._wanted)
            case Train():
                self._train_to = command.steps or self._opened.event.cycle.steps
            case Pause():
                if self._train_to is not None:
                    self._end_training("paused")
            case StartOver():
                if self._step == 0:
                    return "This is the start already."
                self._start_over()
            case UndoStartOver():
                return self._undo_start_over()
            case Audit():
                self._audit_wanted = True
            case _:
                return "The engine does not know this command."
        return ""

    def _set_norm_mode(self, command: SetNormMode) -> None:
        for owner in command.owners:
            if command.mode == "auto":
                self._norm_modes.pop(owner, None)
            else:
                self._norm_modes[owner] = command.mode
        assert self._opened and self.record
        names = [self._opened.stack.owners[owner].name for owner in command.owners]
        self.record.note("norm_mode", modules=names, mode=command.mode)
        self.emit(NormModeChanged(owners=command.owners, mode=command.mode))

    # --- work -----------------------------------------------------------------------------------

    def work(self) -> bool:
        """Do one unit of work; False if there is nothing to do."""
        try:
            return self._unit()
        finally:
            self.busy = ""

    def _unit(self) -> bool:
        if self._opening is not None:
            return self._open_further()
        if self._opened is None:
            return False
        if self._waiting_steps:
            self._take_step(self._waiting_steps.pop(0), measured=True)
            self._side_work = self._yardstick()
            return True
        if self._train_to is not None and self._side_work is None:
            self._train_further()
            return True
        if self._audit_wanted:
            self._audit()
            return True
        if self._side_work is not None:
            self.busy = "evaluating"
            if next(self._side_work, StopIteration) is StopIteration:
                self._side_work = None
            return True
        return False

    def close(self) -> None:
        """Flush the journal and end what runs beside."""
        if self.record is not None:
            self.record.close()
        if self._opened is not None:
            self._opened.decoder.close()

    def _open_further(self) -> bool:
        assert self._opening is not None
        self.busy = "opening"
        try:
            opened = next(self._opening)
        except Problem as problem:
            self._opening = None
            self.emit(OpenFailed(sentence=str(problem), choices=problem.choices))
            return True
        if opened is None:
            return True
        self._opening = None
        self._opened = opened
        self.record = Record(Path(opened.event.run_dir))
        self._wanted = frozenset(opened.event.wanted)
        self._initial = opened.trainer.snapshot()
        self.emit(opened.event)
        return True

    # --- steps ----------------------------------------------------------------------------------

    def _train_further(self) -> None:
        assert self._opened is not None and self._train_to is not None
        if self._step < self._train_to:
            every = self._opened.config.probe_every
            self._take_step(self._wanted, measured=every == 1 or self._step % every == 0)
        else:
            self._side_work = self._validation()

    def _take_step(self, mask: frozenset[int], *, measured: bool) -> None:
        assert self._opened is not None
        self.busy = "train step"
        self._begin_record()
        opened = self._opened
        if mask != opened.trainer.applied or self._steps_ever == 0:
            self._note_mask(mask)
        result = opened.trainer.step(mask, self._norm_modes, measured=measured)
        self._before_start_over = None
        self._step += 1
        self._steps_ever += 1
        self._tell_skipped(result.batch)
        event = self._step_event(result, mask)
        assert self.record is not None
        self.record.note("step", start=self._start, **step_fields(opened.event.stack.rows, event))
        self.emit(event)

    def _step_event(self, result: StepResult, mask: frozenset[int]) -> StepTaken:
        seen = result.measurement
        return StepTaken(
            start=self._start,
            step=self._step,
            epoch=result.batch.epoch,
            loss=result.loss,
            correct=result.correct,
            batch=len(result.batch.labels),
            seconds=result.seconds,
            mask=tuple(sorted(mask)),
            forward_ms=seen.forward_ms if seen else None,
            backward_ms=seen.backward_ms if seen else None,
            update_ms=seen.update_ms if seen else None,
            rows=seen.rows if seen else (),
            owners=seen.owners if seen else (),
            memory_used=result.memory_used,
        )

    def _end_training(self, reason: str) -> None:
        self._train_to = None
        self.emit(TrainEnded(start=self._start, step=self._step, reason=reason))  # type: ignore[arg-type]

    # --- looking without changing ---------------------------------------------------------------

    def _yardstick(self) -> Iterator[None]:
        """The fixed validation images, a batch a unit; any step in between makes a new one."""
        assert self._opened is not None
        yield from self._evaluate(self._opened.yardstick, yardstick=True)

    def _validation(self) -> Iterator[None]:
        """The whole validation set, at the end of training."""
        assert self._opened is not None
        yield from self._evaluate(self._opened.folder.val, yardstick=False)
        self._end_training("done")

    def _evaluate(self, samples: tuple, *, yardstick: bool) -> Iterator[None]:
        assert self._opened is not None and self.record is not None
        opened, step = self._opened, self._step
        correct, total, loss = 0, 0, 0.0
        for batch in opened.decoder.batches(samples, opened.event.batch_size):
            self._tell_skipped(batch)
            if not len(batch.labels):
                continue
            right, lost = opened.trainer.evaluate(batch)
            correct, total, loss = correct + right, total + len(batch.labels), loss + lost
            yield
        if not total:
            return  # not one image of it can be read; each was told of
        event = Validated(
            start=self._start,
            step=step,
            correct=correct,
            total=total,
            loss=loss / total,
            yardstick=yardstick,
        )
        fields = msgspec.structs.asdict(event)
        self.record.note("validated", **fields)
        self.emit(event)

    def _audit(self) -> None:
        assert self._opened is not None
        self.busy = "audit"
        self._audit_wanted = False
        tensors, findings = self._opened.trainer.audit(self._wanted, self._norm_modes)
        self.emit(Audited(tensors=tensors, findings=tuple(findings)))

    # --- starting over --------------------------------------------------------------------------

    def _start_over(self) -> None:
        assert self._opened is not None and self._initial is not None and self.record is not None
        trainer = self._opened.trainer
        self._before_start_over = (trainer.snapshot(), self._start, self._step)
        from_step = self._step
        trainer.restore(self._initial)
        self._side_work = None
        self._start += 1
        self._step = 0
        self.record.note("start_over", start=self._start, from_step=from_step)
        event = self._opened.event
        self.emit(
            StartedOver(
                start=self._start,
                from_step=from_step,
                weights=event.weights,
                pretrained=event.pretrained,
                cycle=event.cycle,
            )
        )

    def _undo_start_over(self) -> str:
        if self._before_start_over is None:
            return "There is no start over to take back; a step has been taken since."
        assert self._opened is not None and self.record is not None
        snapshot, _, self._step = self._before_start_over
        self._opened.trainer.restore(snapshot)
        self._before_start_over = None
        self._start -= 1
        self.record.note("start_over_undone", start=self._start, step=self._step)
        event = self._opened.event
        self.emit(
            StartOverUndone(
                start=self._start,
                step=self._step,
                weights=event.weights,
                pretrained=event.pretrained,
                cycle=event.cycle,
            )
        )
        return ""

    # --- the journal ----------------------------------------------------------------------------

    def _begin_record(self) -> None:
        assert self.record is not None and self._opened is not None
        if not self.record.begun:
            self.record.begin(self._opened.describe())
            self.on_run_dir(self.record.path)

    def _note_mask(self, mask: frozenset[int]) -> None:
        assert self._opened is not None and self.record is not None
        stack = self._opened.stack
        names = []
        for row in stack.rows:
            inside = [owner for owner in row.owners if owner in mask]
            if len(inside) == len(row.owners):
                names.append(row.name)
            else:
                names += [stack.owners[owner].name for owner in inside]
        self.record.note("mask", start=self._start, after_step=self._step, trainable=names)

    def _tell_skipped(self, batch: Batch) -> None:
        assert self.record is not None
        for path, reason in batch.skipped:
            if os.fspath(path) in self._skipped:
                continue
            self._skipped.add(os.fspath(path))
            self.record.note("image_skipped", path=os.fspath(path), reason=reason)
            self.emit(ImageSkipped(path=os.fspath(path), reason=reason, total=len(self._skipped)))

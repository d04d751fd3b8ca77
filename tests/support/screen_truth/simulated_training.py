"""A run that knows the truth: the steps and starts of an engine, and the events about them.

Every number that it sends tells to which step it belongs. Each moment of the run has a code from
10 to 99, and all numbers of that moment consist of its digits: with the code 27 the loss is 0.027,
27 images of a batch are correct, the norms are 2.7e-02. A test can read the screen and find the
step of every number on it, whatever the screen says about that step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from engine.server.late_join import LateJoinState
from tests.support.screen_truth.truth import (
    BATCH,
    CLASSES,
    EPOCH,
    HORIZON,
    PROBE,
    VAL,
    VAL_MAJORITY,
    YARDSTICK,
    YARDSTICK_MAJORITY,
    Moment,
    Truth,
)
from tests.support.stack_messages import opened, small_stack, step_taken
from tl_tui.protocol.checks import (
    StepCostMeasured,
    WeightDriftMeasured,
)
from tl_tui.protocol.events import (
    AnyEvent,
    Greeted,
)
from tl_tui.protocol.layers import StackInfo
from tl_tui.protocol.results import ResultsShown
from tl_tui.protocol.session import (
    Cycle,
    HistorySent,
    SessionOpened,
    StartCurves,
    StartedOver,
    StartOverUndone,
)
from tl_tui.protocol.training import (
    CheckpointSaved,
    FeatureCacheReported,
    LayerMeasurement,
    StepTaken,
    TrainBegan,
    TrainEnded,
    Validated,
)


class SimulatedTraining:
    """Sends consistent events about sessions, steps and starts, and keeps the truth about them."""

    def __init__(self, send: Callable[[AnyEvent], None]) -> None:
        self.send = send
        self.stack: StackInfo = small_stack()
        self.masks = [frozenset(m) for m in opened(self.stack).strategies.values()]
        self.codes: dict[Moment, int] = {}
        self.audited: set[int] = set()
        self.saved: dict[str, Moment] = {}
        self.validations: dict[Moment, bool] = {}
        self.truth = Truth()
        self._runs = 0
        self._open_new_run()

    def emit(self, event: AnyEvent) -> None:
        """Send an event after a unit of work, and remember it for screens that connect later."""
        self._late.record_event(event)
        self.truth.busy = ""
        if self.truth.connected:
            self.send(event)

    @property
    def known(self) -> Truth:
        """What the screen can know: the truth when the connection was lost, or the truth now."""
        return self.truth if self.truth.connected else self._at_the_cut

    def moment_of(self, code: int) -> Moment:
        """Return the moment whose numbers have these digits."""
        return next(moment for moment, known in self.codes.items() if known == code)

    def snapshot(self) -> Truth:
        return replace(self.truth)

    @property
    def exhausted(self) -> bool:
        """Whether there are no codes left for further moments."""
        return len(self.codes) > 80

    # --- sessions -------------------------------------------------------------------------------

    def _open_new_run(self) -> None:
        self._runs += 1
        self.codes, self.saved, self.validations, self._before = {}, {}, {}, None
        self.audited = set()
        self._late = LateJoinState()
        self._cycle = Cycle(after_step=0, steps=HORIZON)
        self._losses: dict[int, list[tuple[int, float]]] = {0: []}
        self.truth = Truth(run=self._runs, wanted=self.masks[0])
        self._reach_moment((0, 0))
        self.emit(self._session())

    def _session(self) -> SessionOpened:
        truth = self.truth
        return opened(
            self.stack,
            truth.wanted,
            run_dir=f"runs/{truth.run}",
            classes=CLASSES,
            chance=0.2,
            yardstick=YARDSTICK,
            yardstick_majority=YARDSTICK_MAJORITY,
            val_images=VAL,
            majority=VAL_MAJORITY,
            batches_per_epoch=EPOCH,
            cycle=self._cycle,
            start=truth.moment[0],
            step=truth.step,
        )

    def another_run(self, leave: Callable[[], None]) -> None:
        leave()
        self._open_new_run()

    def resume(self, die: Callable[[], None]) -> None:
        """The engine dies, and another one resumes at the last step."""
        die()
        self._knows_start_before = False
        self._late = LateJoinState()
        truth = self.truth
        truth.running = truth.stepped = truth.undoable = truth.costed = False
        truth.measured, truth.applied, truth.fold = None, None, None
        truth.busy = truth.mask_by = ""
        truth.connected, truth.in_control, truth.clients = True, True, 1
        self._before = None
        self.send(Greeted(protocol=1, version="0", pid=1))
        self.emit(self._session())
        self.emit(self._history())

    def cut(self, cut: Callable[[], None]) -> None:
        """The connection is lost; training continues without the screen."""
        if self.truth.connected:
            cut()
            self.truth.connected, self._knows_start_before = False, False
            self._at_the_cut = replace(self.truth, running=False, fold=None, busy="")

    def reconnect(self) -> None:
        truth = self.truth
        if truth.connected:
            return
        truth.connected, truth.in_control, truth.clients = True, True, 1
        truth.measured = truth.applied = None
        truth.stepped = truth.costed = False
        truth.busy = truth.mask_by = ""
        self.send(Greeted(protocol=1, version="0", pid=1))
        for event in self._late.events():
            if isinstance(event, StepTaken):
                truth.stepped, truth.applied = True, frozenset(event.mask)
                truth.measured = (event.start, event.step) if event.rows else truth.measured
            truth.costed = truth.costed or isinstance(event, StepCostMeasured)
            self.send(event)

    def _history(self) -> HistorySent:
        starts = [
            StartCurves(start=start, weights="ImageNet V1", losses=tuple(losses), validations=())
            for start, losses in self._losses.items()
        ]
        return HistorySent(starts=tuple(starts))

    # --- steps ----------------------------------------------------------------------------------

    def _reach_moment(self, moment: Moment) -> int:
        self.truth.moment = moment
        return self.codes.setdefault(moment, 10 + len(self.codes))

    def _step(self, *, measured: bool) -> None:
        truth, stack = self.truth, self.stack
        start, step = truth.moment[0], truth.step + 1
        code = self._reach_moment((start, step))
        loss = code / 1000
        event = step_taken(
            stack,
            truth.wanted,
            start=start,
            step=step,
            epoch=truth.epoch,
            loss=loss,
            correct=code,
            batch=BATCH,
            seconds=code / 1000,
            seconds_left=42.0 if truth.running else None,
        )
        rows, owners = (self._coded(seen, code) for seen in (event.rows, event.owners))
        event = msgspec.structs.replace(event, rows=rows, owners=owners)
        if not measured:
            event = msgspec.structs.replace(event, rows=(), owners=())
        else:
            truth.measured = truth.moment
        self._losses[start].append((step, loss))
        truth.applied, truth.stepped, truth.undoable, self._before = truth.wanted, True, False, None
        self.emit(event)

    @staticmethod
    def _coded(seen: tuple[LayerMeasurement, ...], code: int) -> tuple[LayerMeasurement, ...]:
        return tuple(
            LayerMeasurement(
                one.reach,
                None if one.grad_norm is None else code / 1000,
                code + 0.5,
                None if one.update_ratio is None else code / 1e6,
                0,
                None if one.arrival_ms is None else code / 10,
            )
            for one in seen
        )

    def take_step(self) -> None:
        if self.truth.idle and not self.exhausted:
            self._step(measured=True)

    def validate_yardstick(self) -> None:
        self._validate(yardstick=True)

    def validate_all(self) -> None:
        self._validate(yardstick=False)

    def _validate(self, *, yardstick: bool) -> None:
        start, step = self.truth.moment
        code = self.codes[self.truth.moment]
        self.validations[self.truth.moment] = yardstick
        self.emit(
            Validated(
                start=start,
                step=step,
                correct=code,
                total=YARDSTICK if yardstick else VAL,
                loss=0.4,
                yardstick=yardstick,
                epoch=self.truth.epoch,
            )
        )

    def show_results(self) -> None:
        full = [moment for moment, yardstick in self.validations.items() if not yardstick]
        if full and self.truth.connected:
            (start, step), code = full[-1], self.codes[full[-1]]
            self.send(
                ResultsShown(
                    start=start,
                    step=step,
                    epoch=1,
                    correct=code,
                    total=VAL,
                    loss=0.4,
                    per_class=((code, VAL), *(((0, 0),) * (len(CLASSES) - 1))),
                    confusion=(),
                    most_wrong=(),
                    comparisons=(),
                    stale=(start, step) != self.truth.moment,
                )
            )

    def measure_drift(self) -> None:
        (start, step), code = self.truth.moment, self.codes[self.truth.moment]
        rows = (code / 10_000,) * len(self.stack.rows)
        self.emit(WeightDriftMeasured(start=start, step=step, rows=rows, running_mean_drift={}))

    # --- training -------------------------------------------------------------------------------

    def begin_training(self) -> None:
        truth = self.truth
        if truth.idle and not self.exhausted:
            truth.running, truth.began_at = True, truth.moment
            end = HORIZON if truth.step < HORIZON else truth.step + HORIZON
            self._train_to = end
            self.emit(TrainBegan(start=truth.moment[0], step=truth.step, to_step=end))

    def train(self, steps: int = 1) -> None:
        truth = self.truth
        for _ in range(steps):
            if not truth.running or self.exhausted:
                return
            changed = truth.wanted != truth.applied
            self._step(measured=changed or truth.step % PROBE == 0)
            start, step = truth.moment
            code = self.codes[truth.moment]
            self.emit(
                FeatureCacheReported(
                    rows=2,
                    cut="layer1.0",
                    images=50,
                    total=50,
                    memory_bytes=50,
                    hits=code * 1000,
                    start=start,
                    step=step,
                )
            )
            if step % EPOCH == 0:
                self._validate(yardstick=False)
                self._save("last")
                self.measure_drift()
            if step == self._train_to:
                self._end_training("done")

    def pause(self) -> None:
        if self.truth.running:
            self._save("last")
            self._end_training("paused")

    def _end_training(self, reason: Any) -> None:
        self.truth.running = False
        start, step = self.truth.moment
        self.emit(TrainEnded(start=start, step=step, reason=reason))

    def _save(self, name: str) -> None:
        (start, step), self.saved[name] = self.truth.moment, self.truth.moment
        self.emit(CheckpointSaved(name=name, path=f"/{name}", start=start, step=step))

    # --- starts ---------------------------------------------------------------------------------

    def start_over(self) -> None:
        truth = self.truth
        if not truth.idle or not truth.step or self.exhausted:
            return
        start, step = truth.moment
        self._before, self._knows_start_before = (replace(truth), self._cycle), True
        new = max(self._losses) + 1
        self._losses[new] = []
        self._reach_moment((new, 0))
        truth.stepped, truth.measured, truth.applied, truth.undoable = False, None, None, True
        self._cycle = Cycle(after_step=0, steps=HORIZON)
        self.emit(
            StartedOver(
                start=new,
                from_step=step,
                weights="ImageNet V1",
                pretrained=True,
                cycle=self._cycle,
            )
        )

    def undo_start_over(self) -> None:
        if self._before is None or not self.truth.idle:
            return
        (before, self._cycle), self._before = self._before, None
        truth = self.truth
        self._losses.pop(truth.moment[0])
        truth.moment, truth.undoable = before.moment, False
        truth.stepped, truth.measured, truth.applied = False, None, None
        if self._knows_start_before:
            truth.stepped, truth.measured = before.stepped, before.measured
            truth.applied = before.applied
        start, step = truth.moment
        self.emit(
            StartOverUndone(
                start=start,
                step=step,
                weights="ImageNet V1",
                pretrained=True,
                cycle=self._cycle,
            )
        )

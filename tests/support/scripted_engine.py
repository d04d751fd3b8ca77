"""An in-memory engine without torch that answers commands as the real engine does.

Its measurements follow from the applied mask and the graph, and its loss falls slowly. Schedule and
plan are tracked by the real engine's `engine.session.progress`. With `hold` set, every step waits
until `release` is called, also in training.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from engine.session.progress import Progress
from tests.support.stack_messages import from_top, opened, step_cost_measured, step_taken
from tl_tui.common.errors import Problem
from tl_tui.protocol.checks import Audited, WeightDriftMeasured
from tl_tui.protocol.commands import (
    AnyCommand,
    Audit,
    BeginCycle,
    MeasureStepCost,
    Open,
    Pause,
    RestoreLayer,
    ResumeRun,
    SetMask,
    SetNormMode,
    SetPlan,
    SetRate,
    SetRecipe,
    StartOver,
    Step,
    Train,
    UndoRestoreLayer,
    UndoStartOver,
)
from tl_tui.protocol.events import AnyEvent, Confirmed, Greeted, Refused
from tl_tui.protocol.session import (
    CycleBegan,
    LayerRestored,
    LoadingProgressed,
    MaskPlanned,
    NormModeChanged,
    OpenFailed,
    PlanChanged,
    RecipeChanged,
    SessionOpened,
    StartedOver,
    StartOverUndone,
)
from tl_tui.protocol.training import CheckpointSaved, TrainBegan, TrainEnded, Validated
from tl_tui.settings import plan as plans
from tl_tui.settings.recipe import base_rates

STAGES = ("torch", "data", "weights", "warm-up")


class ScriptedEngine:
    """An `EngineLink` whose engine lives in the test."""

    def __init__(
        self,
        session: SessionOpened | None = None,
        *,
        opens: bool = True,
        hold: bool = False,
        failures: Sequence[OpenFailed] = (),
        loss: Callable[[int], float] = lambda step: 0.3 + 0.5 * math.exp(-step / 8),
        step_costs: bool = True,
        pace: float = 0.0,
    ) -> None:
        """
        Args:
            session: The session to open; ResNet-18 with feature extraction if None.
            opens: Whether to answer `Open` immediately; otherwise `open_now` does.
            hold: Whether steps wait until `release` is called.
            failures: The answers to the first `Open` commands.
            loss: A function that returns the loss of a step.
            step_costs: Whether to answer `MeasureStepCost`; otherwise the measurement never ends.
            pace: The time between two steps of training in seconds.
        """
        self.session = session or opened()
        self.opens = opens
        self.hold = hold
        self.failures = list(failures)
        self.loss = loss
        self.step_costs = step_costs
        self.pace = pace
        self.commands: list[AnyCommand] = []
        """All commands that were sent, in order."""
        self.starts = 0
        self.closed = self.detached = False
        self.host = ""
        self.reason = "The engine was killed (signal 9)."
        self._begin()

    def _begin(self) -> None:
        self._queue: asyncio.Queue[AnyEvent | None] = asyncio.Queue()
        session = self.session
        self._course = Progress(
            wanted=frozenset(session.trainable),
            strategies=session.strategies,
            recipe=session.recipe,
            batches_per_epoch=session.batches_per_epoch,
            horizon=session.cycle.steps,
        )
        self._course.follow(session.plan)
        self._rates = list(session.rates)
        self._strategy: str | None = None
        self._ran_with: frozenset[int] | None = None
        self._start = 0
        self._before: tuple[int, int] | None = None
        self._in_flight = 0
        self._training: asyncio.Task[None] | None = None

    @property
    def step(self) -> int:
        """The number of steps in the current start."""
        return self._course.step

    # --- the link -------------------------------------------------------------------------------

    async def start(self) -> None:
        self.starts += 1
        self._emit(Greeted(protocol=1, version="0", pid=1))

    async def restart(self) -> None:
        self._begin()
        await self.start()

    async def renew(self, *, leave: bool = False) -> None:
        await self.restart()

    def leave(self) -> None:
        """Do nothing; there is no process to leave."""

    async def close(self) -> None:
        self._queue.put_nowait(None)
        self.closed = True

    def death_reason(self) -> str:
        return self.reason

    async def events(self) -> AsyncIterator[AnyEvent]:
        while (event := await self._queue.get()) is not None:
            yield event

    def send(self, command: AnyCommand) -> None:
        self.commands.append(command)
        match command:
            case Open():
                self._open(command)
            case ResumeRun():
                self.open_now()
            case SetMask():
                mask = frozenset(command.trainable)
                if mask != self._course.wanted and self._course.plan is not None:
                    self._leave_plan("interrupted by hand", interrupted=True)
                self._course.wanted, self._strategy = mask, command.strategy
            case SetNormMode():
                self._emit(NormModeChanged(owners=command.owners, mode=command.mode))
            case Step():
                self._in_flight += 1
                if not self.hold:
                    self.release()
            case Train():
                self._train(command.steps)
            case Pause():
                if self._course.train_to is not None:
                    self._checkpoint("last")
                    self._end_training("paused")
            case StartOver():
                self._before = (self._start, self.step)
                self._start, self._course.step = self._start + 1, 0
                self._course.begin_cycle()
                self._emit(self._started_over(StartedOver, from_step=self._before[1]))
            case UndoStartOver():
                if self._before is None:
                    return self._emit(Refused(id=command.id, reason="There is none to take back."))
                (self._start, self._course.step), self._before = self._before, None
                self._emit(self._started_over(StartOverUndone, step=self.step))
            case SetRecipe():
                self._course.set_recipe(command.recipe)
                self._rates = list(base_rates(command.recipe, self.session.stack.rows))
                self._tell_recipe()
            case SetRate():
                for row in command.rows:
                    self._rates[row] = command.rate
                self._tell_recipe()
            case BeginCycle():
                self._begin_cycle("asked for")
            case SetPlan():
                try:
                    self._set_plan(command)
                except Problem as problem:
                    return self._emit(Refused(id=command.id, reason=str(problem)))
            case MeasureStepCost():
                if self.step_costs:
                    self._emit(step_cost_measured(self.session.stack))
            case RestoreLayer():
                self._emit(LayerRestored(owners=command.owners))
            case UndoRestoreLayer():
                every = tuple(range(len(self.session.stack.owners)))
                self._emit(LayerRestored(owners=every, undone=True))
            case Audit():
                self._emit(Audited(tensors=100, findings=()))
        self._emit(Confirmed(id=command.id))

    # --- events and training ----------------------------------------------------------------------

    def _emit(self, event: AnyEvent) -> None:
        self._queue.put_nowait(event)

    def _started_over(self, kind: type, **fields: int) -> AnyEvent:
        return kind(
            start=self._start,
            weights=self.session.weights,
            pretrained=self.session.pretrained,
            cycle=self._course.cycle,
            **fields,
        )

    def _tell_recipe(self) -> None:
        self._emit(RecipeChanged(recipe=self._course.recipe, rates=tuple(self._rates)))

    def _begin_cycle(self, why: str, steps: int | None = None) -> None:
        self._emit(CycleBegan(cycle=self._course.begin_cycle(steps), reason=why))

    def _set_plan(self, command: SetPlan) -> None:
        if command.plan is None:
            return self._leave_plan("left")
        plan = plans.make_plan(
            command.plan,
            from_top(self.session.stack),
            epochs=self._course.recipe.epochs,
            phase_epochs=command.phase_epochs,
            batches_per_epoch=self._course.batches_per_epoch,
            after_step=self.step,
        )
        self._course.follow(plan)
        self._emit(PlanChanged(plan=plan))
        self._enter_phase()

    def _leave_plan(self, why: str, *, interrupted: bool = False) -> None:
        self._course.follow(None)
        self._emit(PlanChanged(plan=None, reason=why, interrupted=interrupted))

    def _enter_phase(self) -> None:
        phase, plan = self._course.phase_to_begin(), self._course.plan
        if phase is not None and plan is not None:
            self._course.wanted = frozenset(phase.trainable)
            why = f"plan {plan.name}: {phase.name}"
            self._emit(MaskPlanned(trainable=phase.trainable, reason=why))
            self._begin_cycle(why, phase.steps)

    def _checkpoint(self, name: str) -> None:
        path = f"{self.session.run_dir}/{name}.safetensors"
        self._emit(CheckpointSaved(name=name, path=path, start=self._start, step=self.step))

    def _train(self, steps: int | None) -> None:
        to_step = self._course.train(steps)
        self._emit(TrainBegan(start=self._start, step=self.step, to_step=to_step))
        if not self.hold:
            self._training = asyncio.get_running_loop().create_task(self._train_on())

    async def _train_on(self) -> None:
        while self._course.train_to is not None:
            self.train_step()
            await asyncio.sleep(self.pace)

    def _end_training(self, reason: str) -> None:
        self._course.stop()
        self._emit(TrainEnded(start=self._start, step=self.step, reason=reason))  # type: ignore[arg-type]

    def emit(self, event: AnyEvent) -> None:
        """Emit an event that the test made."""
        self._emit(event)

    def _open(self, command: Open) -> None:
        if self.failures:
            self._emit(self.failures.pop(0))
        elif self.opens:
            self.open_now()

    def progress(self, *stages: str) -> None:
        """Report these stages of opening as done."""
        for stage in stages:
            self._emit(LoadingProgressed(stage=stage, done=True, seconds=1.2))  # type: ignore[arg-type]

    def open_now(self) -> None:
        """Report all stages as done and open the session."""
        self.progress(*STAGES)
        self._emit(self.session)

    def release(self) -> None:
        """Finish the step in flight, or take the next training step."""
        if not self._in_flight and self._course.train_to is not None:
            return self.train_step()
        assert self._in_flight, "no step is in flight"
        self._in_flight -= 1
        self._take_step(measured=True)
        self._validate(64, yardstick=True)

    def train_step(self) -> None:
        """Take one training step; at the end of an epoch, validate and save checkpoints."""
        assert self._course.train_to is not None
        self._take_step(measured=self.step % 10 == 0)
        if self.step % self._course.batches_per_epoch == 0:
            self._validate(self.session.val_images, yardstick=False)
            self._checkpoint("best")
            self._checkpoint("last")
        if self.step >= self._course.train_to:
            self._end_training("done")

    def _take_step(self, *, measured: bool) -> None:
        stack, course = self.session.stack, self._course
        if self._strategy and course.wanted != self._ran_with and self.step:
            self._begin_cycle(self._strategy)
        self._ran_with = course.wanted
        factor = course.lr_factor
        course.took_step()
        self._before = None
        norms = {row.name: 0.6 * 0.55 ** (len(stack.rows) - i) for i, row in enumerate(stack.rows)}
        left = None if course.train_to is None else 1.5 * (course.train_to - self.step)
        taken = step_taken(
            stack,
            course.wanted,
            step=self.step,
            norms=norms,
            start=self._start,
            loss=self.loss(self.step),
            epoch=(self.step - 1) // course.batches_per_epoch + 1,
            memory_used=None if self.session.memory_total is None else int(1.3 * 2**30),
            lr_factor=factor,
            seconds_left=left,
        )
        if not measured:
            taken = msgspec.structs.replace(taken, rows=(), owners=())
        self._emit(taken)
        if measured:
            moved = tuple(
                5e-5 * self.step
                if set(course.wanted) & set(range(r.first_owner, r.end_owner))
                else 0.0
                for r in stack.rows
            )
            self._emit(WeightDriftMeasured(step=self.step, rows=moved, running_mean_drift={}))
        self._enter_phase()

    def _validate(self, total: int, *, yardstick: bool) -> None:
        right = round(total * (0.5 + 0.4 * (1 - math.exp(-self.step / 10))))
        event = Validated(
            start=self._start,
            step=self.step,
            correct=right,
            total=total,
            loss=0.4,
            yardstick=yardstick,
            epoch=(self.step - 1) // self._course.batches_per_epoch + 1,
            best=not yardstick,
        )
        self._emit(event)

    def die(self) -> None:
        """End the event stream, as if the engine's process had died."""
        self._queue.put_nowait(None)

    def sent(self, kind: type) -> list:
        """Return the commands of one kind that were sent."""
        return [command for command in self.commands if isinstance(command, kind)]

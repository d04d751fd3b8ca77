"""An engine without torch, in memory: answers commands as the real one does, when told to.

Its measurements follow the applied mask and the graph; what it "takes" as loss falls slowly. With
`hold` set, steps stay in flight until `release` is called.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence

from engine.protocol import (
    AnyCommand,
    AnyEvent,
    Audit,
    Audited,
    Confirmed,
    Greeted,
    LoadingProgressed,
    NormModeChanged,
    Open,
    OpenFailed,
    Refused,
    SessionOpened,
    SetMask,
    SetNormMode,
    StartedOver,
    StartOver,
    StartOverUndone,
    Step,
    UndoStartOver,
    Validated,
)
from tests.stacks import opened, step_taken

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
    ) -> None:
        """
        Args:
            session: What it opens; ResNet-18 with feature extraction if None.
            opens: Answer `Open` at once; else when `open_now` is called.
            hold: Keep steps in flight until `release`.
            failures: Answers to the first `Open` commands.
            loss: The loss of each step.
        """
        self.session = session or opened()
        self.opens = opens
        self.hold = hold
        self.failures = list(failures)
        self.loss = loss
        self.commands: list[AnyCommand] = []
        """Everything that was sent, in order."""
        self.starts = 0
        self.closed = False
        self.reason = "The engine was killed (signal 9)."
        self._begin()

    def _begin(self) -> None:
        self._queue: asyncio.Queue[AnyEvent | None] = asyncio.Queue()
        self._mask = frozenset(self.session.wanted)
        self._start = self._step = 0
        self._before: tuple[int, int] | None = None
        self._in_flight = 0

    # --- the link -------------------------------------------------------------------------------

    async def start(self) -> None:
        self.starts += 1
        self._emit(Greeted(protocol=1, version="0", pid=1))

    async def restart(self) -> None:
        self._begin()
        await self.start()

    async def close(self) -> None:
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
            case SetMask():
                self._mask = frozenset(command.trainable)
            case SetNormMode():
                self._emit(NormModeChanged(owners=command.owners, mode=command.mode))
            case Step():
                self._in_flight += 1
                if not self.hold:
                    self.release()
            case StartOver():
                self._before = (self._start, self._step)
                self._start, self._step = self._start + 1, 0
                self._emit(self._started_over(StartedOver, from_step=self._before[1]))
            case UndoStartOver():
                if self._before is None:
                    return self._emit(Refused(id=command.id, reason="There is none to take back."))
                (self._start, self._step), self._before = self._before, None
                self._emit(self._started_over(StartOverUndone, step=self._step))
            case Audit():
                self._emit(Audited(tensors=100, findings=()))
        self._emit(Confirmed(id=command.id))

    # --- what the test makes it do ----------------------------------------------------------------

    def _emit(self, event: AnyEvent) -> None:
        self._queue.put_nowait(event)

    def _started_over(self, kind: type, **fields: int) -> AnyEvent:
        return kind(
            start=self._start,
            weights=self.session.weights,
            pretrained=self.session.pretrained,
            cycle=self.session.cycle,
            **fields,
        )

    def emit(self, event: AnyEvent) -> None:
        """Send an event of the test's own."""
        self._emit(event)

    def _open(self, command: Open) -> None:
        if self.failures:
            self._emit(self.failures.pop(0))
        elif self.opens:
            self.open_now()

    def progress(self, *stages: str) -> None:
        """Tell that these stages of opening are done."""
        for stage in stages:
            self._emit(LoadingProgressed(stage=stage, done=True, seconds=1.2))  # type: ignore[arg-type]

    def open_now(self) -> None:
        """The session is open."""
        self.progress(*STAGES)
        self._emit(self.session)

    def release(self) -> None:
        """Let the step in flight return."""
        assert self._in_flight, "no step is in flight"
        self._in_flight -= 1
        self._step += 1
        self._before = None
        stack = self.session.stack
        norms = {row.name: 0.6 * 0.55 ** (len(stack.rows) - i) for i, row in enumerate(stack.rows)}
        taken = step_taken(
            stack,
            self._mask,
            step=self._step,
            norms=norms,
            start=self._start,
            loss=self.loss(self._step),
            memory_used=None if self.session.memory_total is None else int(1.3 * 2**30),
        )
        self._emit(taken)
        right = round(64 * (0.5 + 0.4 * (1 - math.exp(-self._step / 10))))
        self._emit(
            Validated(
                start=self._start,
                step=self._step,
                correct=right,
                total=64,
                loss=0.4,
                yardstick=True,
            )
        )

    def die(self) -> None:
        """The engine's process is gone."""
        self._queue.put_nowait(None)

    def sent(self, kind: type) -> list:
        """The commands of one kind that were sent."""
        return [command for command in self.commands if isinstance(command, kind)]

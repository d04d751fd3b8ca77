"""The app's conversation with the engine: takes events into the state, and sends commands.

While the key for a step is held, at most one step waits for the running one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tl_tui.common.errors import Problem
from tl_tui.connect.engine_link import ConnectionLost, EngineLink
from tl_tui.protocol.commands import (
    Audit,
    Command,
    Open,
    Pause,
    ResumeRun,
    SetDisconnectAction,
    SetMask,
    SetNormMode,
    SetRate,
    SetRecipe,
    StartOver,
    Step,
    TakeOver,
    Train,
    UndoStartOver,
)
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import AnyEvent, Confirmed, EngineFailed, Greeted, Refused
from tl_tui.protocol.layers import NormMode
from tl_tui.protocol.session import SessionOpened, StartedOver
from tl_tui.protocol.training import StepNotApplied, StepTaken, TrainEnded
from tl_tui.runs.run_reader import original_config
from tl_tui.settings.preferences import DisconnectAction
from tui.app.config_from_state import ManualSettings, config_to_reopen, manual_settings
from tui.state.run_state import RunState

COME_BACK_S = 600.0
"""How long an engine on another machine that has trained nothing waits for a reconnection."""


class EngineSession:
    """Takes events into the state, and sends commands in the right order."""

    def __init__(
        self,
        link: EngineLink,
        config: RunConfig,
        state: RunState,
        on_event: Callable[[AnyEvent | None], None],
    ) -> None:
        """
        Args:
            link: The connection to the engine.
            config: The configuration to open a session with.
            state: Takes every event before `on_event` is called.
            on_event: Called with every event but confirmations, and with None when the engine has
                stopped.
        """
        self.link = link
        self.config = config
        self.resumes: ResumeRun | None = None
        """The run to resume, until it is open."""
        self.attached = False
        """Whether another screen has opened the engine's session."""
        self.on_disconnect: DisconnectAction = "go on"
        """What the engine does after its last screen has disconnected."""
        self._next_run: ResumeRun | RunConfig | None = None
        """The run to change to once the engine of this one has ended."""
        self._others_watch = False
        """Whether other screens watch the run that is left, so that its engine must not end."""
        self.state = state
        self._on_event = on_event
        self._step_in_flight: int | None = None
        self.step_waits = False
        """Whether a step is sent as soon as possible."""
        self._train_in_flight: int | None = None
        self.train_waits = False
        """Whether training begins as soon as the engine is ready."""
        self._pausing = False
        self.starting_over: int | None = None
        """The id of a start over that the engine has not answered yet."""
        self.start_beside = False
        """Whether the last start over kept the weights of the start before it."""
        self._manual: ManualSettings | None = None
        """The settings made on an engine that died, for its replacement."""

    @property
    def stepping(self) -> bool:
        """Whether a step is running."""
        return self._step_in_flight is not None

    @property
    def running(self) -> bool:
        """Whether training was requested and has not ended."""
        return self._train_in_flight is not None or self.state.running

    async def follow(self, *, restart: bool = False) -> None:
        """Communicate with the engine until it stops.

        Args:
            restart: Start another engine in place of a dead one; call `keep_choices` before.
        """
        try:
            await (self.link.restart() if restart else self.link.start())
            await self._take_events()
            while (next_run := self._next_run) is not None:
                self._next_run = self.resumes = None
                if isinstance(next_run, ResumeRun):
                    self.resumes = next_run
                else:
                    self.config = next_run
                await self.link.renew(leave=self._others_watch)
                self.attached = False
                await self._take_events()
        except OSError:
            pass  # `death_reason` says why
        self._forget_steps()
        self.state.died(self.link.death_reason())
        self._on_event(None)

    async def _take_events(self) -> None:
        """Open the session, and take events until the engine stops."""
        self.set_disconnect_action(self.on_disconnect)
        if not self.attached:
            self._open()
        async for event in self.link.events():
            if isinstance(event, ConnectionLost):
                self._connection_lost(event)
            elif self._next_run is None:  # else the event belongs to the run that is left
                self._take(event)

    def keep_choices(self) -> None:
        """Make the next engine resume from the last checkpoint, with the current choices.

        Without a checkpoint it starts a new run.
        """
        self.attached = False
        if not self.state.opened or self.state.session is None:
            return
        self._manual = manual_settings(self.state)
        saved = self.state.training.resume_checkpoint
        if saved is not None:
            run = self.state.session.run_dir
            self.resumes = ResumeRun(id=0, run=run, checkpoint=saved.name)
        else:
            self.config = config_to_reopen(self.config, self.state)

    def change_to(self, run: ResumeRun | RunConfig) -> None:
        """Leave this run, which the engine saves, and resume or open another."""
        self._next_run, self._others_watch = run, self.state.watched.clients > 1
        self._forget_steps()
        self._manual = None
        self.state.left()

    def _connection_lost(self, lost: ConnectionLost) -> None:
        """Forget requests that may not have arrived.

        Once connected again, the engine sends the state in which they left the session.
        """
        self._forget_steps()
        self.starting_over = None
        self.state.line_cut(lost.sentence)
        self._on_event(None)

    def _take(self, event: AnyEvent) -> None:
        reconnected = isinstance(event, Greeted) and bool(self.state.cut)
        self.state.apply(event)
        if isinstance(event, Confirmed):
            return  # the screen has shown the change since the key was pressed
        if reconnected:
            self.set_disconnect_action(self.on_disconnect)
            if isinstance(event, Greeted) and not event.run_dir and not self.attached:
                self._open()  # the connection was lost before the engine had the command
        match event:
            case SessionOpened():
                self._opened(event)
            case StepTaken() if self._step_in_flight is not None:
                self._step_in_flight = None
                self._step_if_waiting()
            case Refused(id=refused) if refused == self._step_in_flight:
                self._forget_steps()
            case Refused(id=refused) if refused == self._train_in_flight:
                self._train_in_flight, self._pausing = None, False
            case StepNotApplied():
                self._forget_steps()
            case TrainEnded():
                self._train_in_flight, self._pausing = None, False
            case StartedOver() | EngineFailed():
                self.starting_over = None
            case Refused(id=refused) if refused == self.starting_over:
                self.starting_over = None
        if isinstance(event, EngineFailed):
            self._forget_steps()
        self._on_event(event)

    def _opened(self, event: SessionOpened) -> None:
        if self.resumes is not None:
            with contextlib.suppress(Problem):  # the run is on another machine
                opened = original_config(self.resumes.run)
                self.config = msgspec.structs.replace(opened, run_dir=event.run_dir)
            self.resumes = None
        if self.state.wanted != frozenset(event.trainable):
            self.mask()
        if (manual := self._manual) is not None:
            self._manual = None
            if manual.recipe is not None and manual.recipe != event.recipe:
                self.send(SetRecipe, recipe=manual.recipe)
            for rate, rows in manual.rates.items():
                self.rate(rows, rate)
            for mode, owners in manual.norm_modes.items():
                self.norm_mode(owners, mode)
        if self.train_waits:
            self.train()
        self._step_if_waiting()

    def _forget_steps(self) -> None:
        self._step_in_flight, self.step_waits, self.train_waits = None, False, False
        self._train_in_flight, self._pausing = None, False

    # --- commands -------------------------------------------------------------------------------

    def send(self, command: type[Command], **fields: Any) -> int:
        """Send a command under the next id.

        Returns:
            The id, which the engine's `Confirmed` or `Refused` repeats.
        """
        number = self.state.next_id()
        self.link.send(command(id=number, **fields))  # type: ignore[arg-type]
        return number

    def set_disconnect_action(self, action: DisconnectAction) -> None:
        """Set what the engine does after its last client has disconnected."""
        self.on_disconnect = action
        self.send(
            SetDisconnectAction,
            action="continue" if action == "go on" else action,
            wait_seconds=COME_BACK_S if self.link.host else 0.0,
        )

    def take_over(self) -> None:
        """Take control of the run with this screen."""
        self.send(TakeOver)

    def _open(self) -> None:
        if self.resumes is None:
            self.send(Open, config=self.config)
        else:
            self.link.send(msgspec.structs.replace(self.resumes, id=self.state.next_id()))

    def open_with(self, weights: str) -> None:
        """Open the session with other weights than requested."""
        self.config = msgspec.structs.replace(self.config, weights=weights)
        self.state.phase, self.state.question = "starting", None
        self._open()

    def mask(self, strategy: str | None = None) -> None:
        """Send the wanted mask if the engine is ready.

        Args:
            strategy: The strategy that the mask belongs to; it begins a new cycle of the schedule.
        """
        if self.state.phase == "ready":
            trainable = tuple(sorted(self.state.wanted))
            self.state.sent_mask(self.send(SetMask, trainable=trainable, strategy=strategy))

    def rate(self, rows: Sequence[int], rate: float) -> None:
        """Set the base learning rate of rows; the state shows it at once."""
        number = self.send(SetRate, rows=tuple(rows), rate=rate)
        self.state.training.request_rate(number, rows, rate)

    def train(self) -> None:
        """Train to the end of the schedule or plan, as soon as the engine is ready."""
        self.step_waits = False
        self.train_waits = self.state.phase != "ready"
        if not self.train_waits:
            self._train_in_flight = self.send(Train)

    def pause(self) -> bool:
        """Pause training after the current unit of work; return False if already pausing."""
        if self._pausing:
            return False
        self._pausing = True
        self.send(Pause)
        return True

    def step(self) -> bool:
        """Take a step; return False if it has to wait until the engine is ready."""
        self.step_waits = True
        if self.state.phase != "ready":
            return False
        self._step_if_waiting()
        return True

    def _step_if_waiting(self) -> None:
        if self.step_waits and self._step_in_flight is None and self.state.phase == "ready":
            self.step_waits = False
            self._step_in_flight = self.state.next_id()
            self.link.send(Step(id=self._step_in_flight))

    def start_over(self, weights: str = "same", *, beside: bool = False) -> None:
        """Start over.

        Args:
            weights: The weights to start from, as in `StartOver`.
            beside: Keep the weights of the current start as a checkpoint.
        """
        self.step_waits, self.start_beside = False, beside
        self.starting_over = self.send(StartOver, weights=weights, keep=beside)

    def undo_start_over(self) -> None:
        self.step_waits, self.starting_over = False, None
        self.send(UndoStartOver)

    def norm_mode(self, owners: Sequence[int], mode: NormMode) -> None:
        self.send(SetNormMode, owners=tuple(owners), mode=mode)

    def audit(self) -> None:
        self.send(Audit)

"""What the screen says to the engine, and in which order.

Of a held key at most one step waits behind the one that runs.
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
"""How long an engine on another machine waits after a cut, if nothing was trained yet."""


class EngineSession:
    """Takes events into the state and sends what they make possible."""

    def __init__(
        self,
        link: EngineLink,
        config: RunConfig,
        state: RunState,
        heard: Callable[[AnyEvent | None], None],
    ) -> None:
        """
        Args:
            link: The engine.
            config: What to open.
            state: Reduced from every event before `heard` is told.
            heard: Told every event; None when the engine is gone.
        """
        self.link = link
        self.config = config
        self.resumes: ResumeRun | None = None
        """The run that goes on, until it is open."""
        self.attached = False
        """The engine has its session already, which another screen has opened."""
        self.on_disconnect: DisconnectAction = "go on"
        """What the engine does when the last screen is gone, however it goes."""
        self._coming: ResumeRun | RunConfig | None = None
        """The run to change to, or what to open anew, when the engine of this one has ended."""
        self._leave_others = False
        self.state = state
        self._on_event = heard
        self._step_in_flight: int | None = None
        self.step_waits = False
        """A step was asked for and goes out as soon as it can."""
        self._train_in_flight: int | None = None
        self.train_waits = False
        """Training was asked for and begins as soon as the engine is ready."""
        self._pausing = False
        self.starting_over: int | None = None
        """The start over that was asked for and is not answered yet."""
        self.start_beside = False
        """The last start over that was asked for is a new start beside the running one."""
        self._by_hand: ManualSettings | None = None
        """What the engine before had been told, for the one that takes its place."""

    @property
    def stepping(self) -> bool:
        """A step is in flight."""
        return self._step_in_flight is not None

    @property
    def running(self) -> bool:
        """Training was asked for and has not come to its end."""
        return self._train_in_flight is not None or self.state.running

    async def follow(self, *, restart: bool = False) -> None:
        """Speak with the engine until it is gone.

        Args:
            restart: Another engine takes the place of the dead one; `keep_choices` comes before.
        """
        try:
            await (self.link.restart() if restart else self.link.start())
            self._begin()
            async for event in self.link.events():
                if isinstance(event, ConnectionLost):
                    self._line_cut(event)
                elif self._coming is None:  # else it is of the run that is left
                    self._take(event)
            while (coming := self._coming) is not None:
                self._coming = self.resumes = None
                if isinstance(coming, ResumeRun):
                    self.resumes = coming
                else:
                    self.config = coming
                await self.link.renew(leave=self._leave_others)
                self.attached = False
                self._begin()
                async for event in self.link.events():
                    if isinstance(event, ConnectionLost):
                        self._line_cut(event)
                    else:
                        self._take(event)
        except OSError:
            pass  # the reason is asked for below
        self._forget_steps()
        self.state.died(self.link.death_reason())
        self._on_event(None)

    def keep_choices(self) -> None:
        """The engine that is started next goes on from the last checkpoint, with the choices as
        they are now; without a checkpoint it begins another run."""
        self.attached = False
        if not self.state.opened or self.state.session is None:
            return
        self._by_hand = manual_settings(self.state)
        saved = self.state.training.resume_checkpoint
        if saved is not None:
            run = self.state.session.run_dir
            self.resumes = ResumeRun(id=0, run=run, checkpoint=saved.name)
        else:
            self.config = config_to_reopen(self.config, self.state)

    def change_to(self, run: ResumeRun | RunConfig) -> None:
        """Leave this run, which the engine saves, and go on with another, or open one."""
        self._coming, self._leave_others = run, self.state.watched.clients > 1
        self._forget_steps()
        self._by_hand = None
        self.state.left()

    def _line_cut(self, cut: ConnectionLost) -> None:
        """What was on its way is lost; what the engine has done of it, it will tell."""
        self._forget_steps()
        self.starting_over = None
        self.state.line_cut(cut.sentence)
        self._on_event(None)

    def _take(self, event: AnyEvent) -> None:
        back = isinstance(event, Greeted) and bool(self.state.cut)
        self.state.apply(event)
        if isinstance(event, Confirmed):
            return  # what it confirms has been on the screen since the key was pressed
        if back:
            self.set_disconnect_action(self.on_disconnect)
            if isinstance(event, Greeted) and not event.run_dir and not self.attached:
                self._open()  # the line was cut before the engine had heard of it
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
            with contextlib.suppress(Problem):  # it is on another machine
                opened = original_config(self.resumes.run)
                self.config = msgspec.structs.replace(opened, run_dir=event.run_dir)
            self.resumes = None
        if self.state.wanted != frozenset(event.trainable):
            self.mask()
        if (chosen := self._by_hand) is not None:
            self._by_hand = None
            if chosen.recipe is not None and chosen.recipe != event.recipe:
                self.send(SetRecipe, recipe=chosen.recipe)
            for rate, rows in chosen.rates.items():
                self.rate(rows, rate)
            for mode, owners in chosen.norm_modes.items():
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
            The id, which the engine's `Confirmed` or `Refused` will bear.
        """
        number = self.state.next_id()
        self.link.send(command(id=number, **fields))  # type: ignore[arg-type]
        return number

    def _begin(self) -> None:
        """The first words to an engine."""
        self.set_disconnect_action(self.on_disconnect)
        if not self.attached:
            self._open()

    def set_disconnect_action(self, action: DisconnectAction) -> None:
        """Set what the engine does after its last client has disconnected."""
        self.on_disconnect = action
        self.send(
            SetDisconnectAction,
            action="continue" if action == "go on" else action,
            wait_seconds=COME_BACK_S if self.link.host else 0.0,
        )

    def take_over(self) -> None:
        """Steer from this screen."""
        self.send(TakeOver)

    def _open(self) -> None:
        if self.resumes is None:
            self.send(Open, config=self.config)
        else:
            self.link.send(msgspec.structs.replace(self.resumes, id=self.state.next_id()))

    def open_with(self, weights: str) -> None:
        """Open the session with other weights than were asked for."""
        self.config = msgspec.structs.replace(self.config, weights=weights)
        self.state.phase, self.state.question = "starting", None
        self._open()

    def mask(self, strategy: str | None = None) -> None:
        """Send the wanted mask, if there is an engine that can take it.

        Args:
            strategy: The strategy it was chosen as; a new cycle of the schedule begins with it.
        """
        if self.state.phase == "ready":
            trainable = tuple(sorted(self.state.wanted))
            self.state.sent_mask(self.send(SetMask, trainable=trainable, strategy=strategy))

    def rate(self, rows: Sequence[int], rate: float) -> None:
        """Give rows a base rate; it shows at once."""
        number = self.send(SetRate, rows=tuple(rows), rate=rate)
        self.state.training.request_rate(number, rows, rate)

    def train(self) -> None:
        """Train to the end of the schedule or plan; once the engine is ready, if it is not."""
        self.step_waits = False
        self.train_waits = self.state.phase != "ready"
        if not self.train_waits:
            self._train_in_flight = self.send(Train)

    def pause(self) -> bool:
        """Stop training after the unit that is running. False if that was asked for already."""
        if self._pausing:
            return False
        self._pausing = True
        self.send(Pause)
        return True

    def step(self) -> bool:
        """Take a step; False if it has to wait for the engine to be ready."""
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
        """Begin again.

        Args:
            weights: From which, as `StartOver` has it.
            beside: A new start beside the running one, whose weights are kept.
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

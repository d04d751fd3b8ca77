"""What a client that attaches later has to know: the session, its last step and validation."""

from __future__ import annotations

from typing import Any

import msgspec

from .protocol import (
    AnyCommand,
    AnyEvent,
    NormModeChanged,
    SessionOpened,
    SetMask,
    StartedOver,
    StartOverUndone,
    StepTaken,
    Validated,
)


class CurrentState:
    """Kept from the events that went out, so that the session need not know of clients."""

    def __init__(self) -> None:
        self._opened: SessionOpened | None = None
        self._step: StepTaken | None = None
        self._validated: Validated | None = None

    def events(self) -> list[AnyEvent]:
        """What to tell a client that attaches now, in order."""
        known = (self._opened, self._step, self._validated)
        return [event for event in known if event is not None]

    def note(self, event: AnyEvent) -> None:
        """An event went out."""
        match event:
            case SessionOpened():
                self._opened, self._step, self._validated = event, None, None
            case StepTaken():
                if event.rows or self._step is None:  # a plain step hides no measurement
                    self._step = event
                self._change(start=event.start, step=event.step)
            case Validated():
                self._validated = event
            case StartedOver():
                self._step = self._validated = None
                self._change(start=event.start, step=0)
            case StartOverUndone():
                self._change(start=event.start, step=event.step)
            case NormModeChanged() if self._opened is not None:
                modes = self._opened.norm_modes | dict.fromkeys(event.owners, event.mode)
                self._change(norm_modes=modes)

    def handled(self, command: AnyCommand) -> None:
        """The session has confirmed a command."""
        if isinstance(command, SetMask):
            self._change(wanted=command.trainable, strategy=None)

    def _change(self, **fields: Any) -> None:
        if self._opened is not None:
            self._opened = msgspec.structs.replace(self._opened, **fields)

"""What a client that attaches later has to know: the session, its last step and validation."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.server.curve_history import CurveHistory
from tl_tui.protocol.checks import (
    CrossValidationEnded,
    FoldProgressed,
    StepCostMeasured,
    WeightDriftMeasured,
)
from tl_tui.protocol.commands import AnyCommand, SetMask
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import (
    CycleBegan,
    MaskPlanned,
    NormModeChanged,
    PlanChanged,
    RecipeChanged,
    SessionOpened,
    StartedOver,
    StartOverUndone,
)
from tl_tui.protocol.training import (
    CheckpointSaved,
    FeatureCacheReported,
    ImageSkipped,
    StepTaken,
    TrainBegan,
    TrainEnded,
    Validated,
)


class LateJoinState:
    """Kept from the events that went out, so that the session need not know of clients."""

    def __init__(self) -> None:
        self._opened: SessionOpened | None = None
        self._latest: dict[str, AnyEvent] = {}
        """The last event of each matter, in the order in which the matters came up."""
        self._history = CurveHistory()
        self.trained = False
        """Steps were taken, be it of a cross-validation: there is something to go on with."""

    @property
    def opened(self) -> SessionOpened | None:
        """The session as it is now; None until there is one."""
        return self._opened

    @property
    def training(self) -> bool:
        """A `Train` command is worked on."""
        return "training" in self._latest

    def events(self) -> list[AnyEvent]:
        """What to tell a client that attaches now, in order."""
        # What had to be seen once was said to the screen that opened it.
        opened = self._opened and msgspec.structs.replace(self._opened, notes=())
        told = (opened, self._history.told())
        return [*(event for event in told if event is not None), *self._latest.values()]

    def note(self, event: AnyEvent) -> None:
        """An event went out."""
        self._history.note(event)
        match event:
            case SessionOpened():
                self._opened = event
                self._latest.clear()
            case StepTaken():
                self.trained = True
                self._latest.pop("plain step", None)
                # A plain step hides no measurement, and comes behind it.
                self._latest["step" if event.rows else "plain step"] = event
                self._change(start=event.start, step=event.step)
            case Validated():
                matter = "yardstick" if event.yardstick else "validation"
                self._latest.pop(matter, None)  # the later of the two comes last
                self._latest[matter] = event
            case StartedOver() | StartOverUndone():
                for matter in ("step", "plain step", "yardstick", "validation", "moved"):
                    self._latest.pop(matter, None)
                step = event.step if isinstance(event, StartOverUndone) else 0
                self._change(start=event.start, step=step, cycle=event.cycle)
            case NormModeChanged() if self._opened is not None:
                modes = self._opened.norm_modes | dict.fromkeys(event.owners, event.mode)
                self._change(norm_modes=modes)
            case RecipeChanged():
                self._change(recipe=event.recipe, rates=event.rates)
            case CycleBegan():
                self._change(cycle=event.cycle)
            case PlanChanged():
                self._change(plan=event.plan)
            case MaskPlanned():
                self._change(trainable=event.trainable, strategy=None)
            case ImageSkipped():
                self._change(skipped_images=event.total)
            case CheckpointSaved():
                self._latest[f"checkpoint {event.name}"] = event
            case FeatureCacheReported():
                self._latest["features"] = event
            case StepCostMeasured():
                self._latest["price"] = event
            case WeightDriftMeasured():
                self._latest["moved"] = event
            case FoldProgressed():
                self.trained = True
                self._latest["fold"] = event
            case CrossValidationEnded():
                self._latest.pop("fold", None)
            case TrainBegan():
                self.trained = True
                self._latest["training"] = event
            case TrainEnded():
                self._latest.pop("training", None)

    def handled(self, command: AnyCommand) -> None:
        """The session has confirmed a command."""
        if isinstance(command, SetMask):
            self._change(trainable=command.trainable, strategy=command.strategy)

    def _change(self, **fields: Any) -> None:
        if self._opened is not None:
            self._opened = msgspec.structs.replace(self._opened, **fields)

"""The state of a session that a client needs when it connects later."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.server.curve_history import CurveHistory
from tl_tui.protocol.checks import (
    CrossValidationEnded,
    FoldProgressed,
    FoldValidated,
    StepCostMeasured,
    WeightDriftMeasured,
)
from tl_tui.protocol.commands import AnyCommand, SetMask
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import (
    CycleBegan,
    EpochResized,
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
    """The state of the session, collected from the events that were sent to the clients.

    It is kept outside the session, which therefore does not need to know its clients.
    """

    def __init__(self) -> None:
        self._opened: SessionOpened | None = None
        self._latest: dict[str, AnyEvent] = {}
        """The latest event of each topic, in the order in which the topics first occurred."""
        self._history = CurveHistory()
        self.trained = False
        """Whether any step was taken, including those of a cross-validation."""

    @property
    def opened(self) -> SessionOpened | None:
        """The session with its current settings; None until it is open."""
        return self._opened

    @property
    def training(self) -> bool:
        """Whether a `Train` command is being executed."""
        return "training" in self._latest

    def events(self) -> list[AnyEvent]:
        """Return the events to send to a client that connects now, in order."""
        # Notes go only to the client that opened the session.
        opened = self._opened and msgspec.structs.replace(self._opened, notes=())
        first = (opened, self._history.event())
        return [*(event for event in first if event is not None), *self._latest.values()]

    def record_event(self, event: AnyEvent) -> None:
        """Update the state with an event that was sent to the clients."""
        self._history.record(event)
        match event:
            case SessionOpened():
                self._opened = event
                self._latest.clear()
            case StepTaken():
                self.trained = True
                self._latest.pop("plain step", None)
                # A plain step must not replace the last measured one, and must come after it.
                self._latest["step" if event.rows else "plain step"] = event
                self._update_session(start=event.start, step=event.step)
            case Validated():
                topic = "yardstick" if event.yardstick else "validation"
                self._latest.pop(topic, None)  # so that the more recent of the two comes last
                self._latest[topic] = event
            case StartedOver() | StartOverUndone():
                for topic in ("step", "plain step", "yardstick", "validation", "weight drift"):
                    self._latest.pop(topic, None)
                step, shift = 0, 0
                if isinstance(event, StartOverUndone):
                    step, shift = event.step, event.epoch_shift
                self._update_session(
                    start=event.start, step=step, cycle=event.cycle, epoch_shift=shift
                )
            case NormModeChanged() if self._opened is not None:
                modes = self._opened.norm_modes | dict.fromkeys(event.owners, event.mode)
                self._update_session(norm_modes=modes)
            case RecipeChanged():
                self._update_session(recipe=event.recipe, rates=event.rates)
            case CycleBegan():
                self._update_session(cycle=event.cycle)
            case EpochResized():
                self._update_session(
                    batches_per_epoch=event.batches_per_epoch,
                    epoch_shift=event.epoch_shift,
                    cycle=event.cycle,
                    plan=event.plan,
                )
                if isinstance(began := self._latest.get("training"), TrainBegan):
                    to_step = began.to_step if event.to_step is None else event.to_step
                    self._latest["training"] = msgspec.structs.replace(began, to_step=to_step)
            case PlanChanged():
                self._update_session(plan=event.plan)
            case MaskPlanned():
                self._update_session(trainable=event.trainable, strategy=None)
            case ImageSkipped():
                self._update_session(skipped_images=event.total)
            case CheckpointSaved():
                self._latest[f"checkpoint {event.name}"] = event
            case FeatureCacheReported():
                self._latest["feature cache"] = event
            case StepCostMeasured():
                self._latest["step cost"] = event
            case WeightDriftMeasured():
                self._latest["weight drift"] = event
            case FoldProgressed():
                self.trained = True
                if "fold" not in self._latest:
                    self._forget_folds()
                self._latest["fold"] = event
            case FoldValidated():
                self._latest[f"fold {event.fold}"] = event
            case CrossValidationEnded():
                self._latest.pop("fold", None)
                self._latest["folds"] = event
            case TrainBegan():
                self.trained = True
                self._latest["training"] = event
            case TrainEnded():
                self._latest.pop("training", None)

    def record_command(self, command: AnyCommand) -> None:
        """Update the state with a command that the session has confirmed."""
        if isinstance(command, SetMask):
            self._update_session(trainable=command.trainable, strategy=command.strategy)

    def _forget_folds(self) -> None:
        """Forget the results of an earlier cross-validation."""
        folds = (FoldValidated, CrossValidationEnded)
        self._latest = {
            topic: event for topic, event in self._latest.items() if not isinstance(event, folds)
        }

    def _update_session(self, **fields: Any) -> None:
        if self._opened is not None:
            self._opened = msgspec.structs.replace(self._opened, **fields)

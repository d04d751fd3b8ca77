"""What the screen knows: a reducer of the engine's events and of the keys' wishes.

`RunState` holds no widget and does no input or output, so that everything the screen will say can
be tested without a terminal. Widgets are given the state whole and hold no truth of their own.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tl_tui.estimates.gradient_reach import combine_reach, predict_reach
from tl_tui.protocol.checks import (
    Audited,
    CrossValidationEnded,
    LrRangeTested,
    StepCostMeasured,
    WeightDriftMeasured,
)
from tl_tui.protocol.events import (
    AnyEvent,
    Confirmed,
    EngineFailed,
    Greeted,
    Heartbeat,
    Refused,
    ViewersChanged,
)
from tl_tui.protocol.layers import NormMode, Reach, RowInfo, StackInfo
from tl_tui.protocol.results import ImagesShown, ResultsShown
from tl_tui.protocol.session import (
    HistorySent,
    LayerRestored,
    LoadingProgressed,
    MaskPlanned,
    NormModeChanged,
    OpenFailed,
    SessionOpened,
    StartedOver,
    StartOverUndone,
)
from tl_tui.protocol.training import (
    ImageSkipped,
    LayerMeasurement,
    StepNotApplied,
    StepTaken,
    TrainBegan,
    TrainEnded,
    Validated,
)
from tui.state.curve import Curve
from tui.state.mask_undo import Mask, MaskChange, MaskHistory, RestoreEntry, StartOverEntry
from tui.state.results import Results
from tui.state.training_state import TrainingState

Trainable = Literal["all", "none", "partial"]


class RunState(MaskHistory):
    """Everything the screen shows, as the events so far and the keys so far have made it."""

    def __init__(self) -> None:
        super().__init__()
        self.phase: Literal["starting", "asking", "ready", "dead"] = "starting"
        self.greeted: Greeted | None = None
        self.watched = ViewersChanged(clients=1, in_control=True)
        """How many screens this engine has, and whether this one steers."""
        self.watched_before = self.watched
        self.loading: dict[str, LoadingProgressed] = {}
        """The opening's stages by name, as far as they were heard of."""
        self.question: OpenFailed | None = None
        self.session: SessionOpened | None = None
        self.provisional = False
        """The stack stands there from the cache; the engine has not spoken of it yet."""
        self.chosen_early = False
        """A mask was chosen without the engine: on the stack from the cache, be it the one that
        stood there, or while the line was cut. It is asked for once the engine is there."""
        self.job_ends: float | None = None
        """When the job that the engine is in ends, in seconds since 1970, where that is known."""
        self.cut: str = ""
        """Why the engine cannot be reached at the moment, while it goes on."""
        self.death: str = ""
        """Why the engine is gone, if it is."""

        self.planned_why = ""
        """Why the engine itself wanted the mask that is wanted now; empty if the user did."""
        self.norm_modes: dict[int, NormMode] = {}

        self.measured: StepTaken | None = None
        """The last measured step of this start."""
        self.last: StepTaken | None = None
        """The last step of this start, measured or not."""
        self.validated: Validated | None = None
        self.curves: list[Curve] = [Curve(start=0)]
        """Oldest first; the last one is now."""
        self._before_start_over: tuple[StepTaken | None, StepTaken | None, Validated | None] = (
            None,
            None,
            None,
        )
        self.running = False
        """The engine works on a `Train` command."""
        self.training = TrainingState()
        self.results = Results()
        self.busy: Heartbeat | None = None
        self.audited: Audited | None = None
        self.skipped_images = 0
        self.not_applied: StepNotApplied | None = None
        """The step that was refused in its course, until another is taken."""
        self.notices: list[str] = []
        """What the engine said to show once; the app takes it out."""

        self._predicted_for: Mask | None = None
        self._predicted: list[Reach] = []

    # --- reading --------------------------------------------------------------------------------

    @property
    def stack(self) -> StackInfo | None:
        return self.session.stack if self.session else None

    @property
    def step(self) -> int:
        if self.last is not None:
            return self.last.step
        session = self.session  # a run that goes on stands at a step before it has taken one
        return session.step if session and session.start == self.curves[-1].start else 0

    @property
    def applied(self) -> Mask | None:
        """The mask the last step ran with; None before the first step of this start."""
        return frozenset(self.last.mask) if self.last else None

    @property
    def pending(self) -> bool:
        """The wanted mask is not the one the last step ran with."""
        return self.applied is not None and self.applied != self.wanted

    @property
    def measured_mask(self) -> Mask:
        """The mask that the last measured step ran with; there may have been steps since."""
        return frozenset(self.measured.mask) if self.measured else frozenset()

    @property
    def opened(self) -> bool:
        """There is, or was, a session: what is known comes from an engine and not from a cache."""
        return self.session is not None and not self.provisional

    @property
    def strategy(self) -> str | None:
        """The strategy whose mask is the wanted one; None is by hand."""
        return self.strategy_of(self.wanted)

    def strategy_of(self, mask: Mask) -> str | None:
        strategies = self.session.strategies if self.session else {}
        return next((name for name, on in strategies.items() if frozenset(on) == mask), None)

    def row_owners(self, row: int) -> range:
        """The owners of a row. There must be a stack."""
        info = self._rows()[row]
        return range(info.first_owner, info.end_owner)

    def stage_owners(self, stage: int) -> range:
        """The owners of a stage's rows. There must be a stack."""
        assert self.session is not None
        info = self.session.stack.stages[stage]
        rows = self._rows()
        return range(rows[info.first_row].first_owner, rows[info.end_row - 1].end_owner)

    def trainable(self, owners: range, mask: Mask | None = None) -> Trainable:
        """How much of these owners is trainable in a mask (the wanted one if none is given)."""
        mask = self.wanted if mask is None else mask
        count = sum(owner in mask for owner in owners)
        return "none" if count == 0 else "all" if count == len(owners) else "partial"

    def trainable_params(self, mask: Mask | None = None) -> int:
        """Number of trainable parameters in a mask (the wanted one if none is given)."""
        mask = self.wanted if mask is None else mask
        if self.session is None:
            return 0
        return sum(self.session.stack.owners[owner].params for owner in mask)

    def predicted(self, owners: range) -> Reach:
        """What the next step will do at these owners, by the wanted mask and the real graph."""
        assert self.session is not None
        if self._predicted_for != self.wanted:
            parents = [owner.parents for owner in self.session.stack.owners]
            self._predicted = predict_reach(parents, self.wanted)
            self._predicted_for = self.wanted
        return combine_reach(self._predicted[owner] for owner in owners)

    def measurement(self, row: int) -> LayerMeasurement | None:
        """What the last measured step did at a row; None before the first."""
        return self.measured.rows[row] if self.measured and self.measured.rows else None

    def owner_measurement(self, owner: int) -> LayerMeasurement | None:
        """What the last measured step did at an owner; None before the first."""
        return self.measured.owners[owner] if self.measured and self.measured.owners else None

    def lowest_reached(self, *, predicted: bool) -> int | None:
        """The lowest row the gradient reaches: predicted by the wanted mask, or as measured.

        Returns:
            The row's index, or None if no row is reached (all frozen, or not measured yet).
        """
        for row in range(len(self._rows())):
            if predicted:
                reach = self.predicted(self.row_owners(row))
            else:
                measurement = self.measurement(row)
                reach = measurement.reach if measurement else "unreached"
            if reach != "unreached":
                return row
        return None

    def _rows(self) -> tuple[RowInfo, ...]:
        assert self.session is not None, "there is no stack yet"
        return self.session.stack.rows

    # --- events ---------------------------------------------------------------------------------

    def show_cached(self, session: SessionOpened) -> None:
        """Show last time's stack until the engine has opened this one."""
        if self.session is None:
            # A plan is not of the stack but of the start that is gone.
            self.session = session = msgspec.structs.replace(session, plan=None)
            self.wanted = frozenset(session.trainable)
            self.provisional = True
            self.training.apply(session)

    def apply(self, event: AnyEvent) -> None:
        """Take one event in."""
        self.training.apply(event)
        self.results.apply(event)
        match event:
            case Greeted():
                self.greeted, self.watched = event, ViewersChanged(clients=1, in_control=True)
                self.cut, self.job_ends = "", event.job_ends
            case ViewersChanged():
                self.watched_before, self.watched = self.watched, event
            case LoadingProgressed():
                self.loading[event.stage] = event
            case OpenFailed():
                self.phase, self.question = "asking", event
            case SessionOpened():
                self._opened(event)
            case HistorySent():
                self._told(event)
            case Confirmed():
                self.confirmed = self.unanswered.pop(event.id, self.confirmed)
            case Refused():
                self._refused(event)
            case StepNotApplied():
                self.not_applied, self.busy = event, None
            case StepTaken():
                self._stepped(event)
            case Validated():
                self._validated(event)
            case NormModeChanged():
                for owner in event.owners:
                    self.norm_modes[owner] = event.mode
            case StartedOver():
                self._started_over(event)
            case StartOverUndone():
                self._start_over_undone()
            case MaskPlanned():
                # Not a wish of the user's: nothing to undo, and it does not hide a later wish.
                self.confirmed = frozenset(event.trainable)
                if not self.unanswered:
                    self.wanted, self.planned_why = self.confirmed, event.reason
                self.undo_list = [e for e in self.undo_list if not isinstance(e, MaskChange)]
                self.redo_list.clear()
            case LayerRestored(undone=False):
                rows = (
                    {self.session.stack.owners[o].row for o in event.owners} if self.session else ()
                )
                names = ", ".join(self._rows()[row].name for row in sorted(rows))
                self.undo_list.append(RestoreEntry(f"{names} as it began"))
            case TrainBegan():
                self.running = True
            case Audited():
                self.audited, self.busy = event, None
            case (
                ResultsShown()
                | ImagesShown()
                | LrRangeTested()
                | StepCostMeasured()
                | WeightDriftMeasured()
            ):
                self.busy = None
            case CrossValidationEnded():
                self.running, self.busy = False, None
            case TrainEnded():
                self.running, self.busy = False, None
            case ImageSkipped():
                self.skipped_images = event.total
            case Heartbeat():
                self.busy = event
            case EngineFailed():
                self.died(event.sentence)

    def died(self, reason: str) -> None:
        """The engine is gone. What was measured stays on the screen; the first reason counts."""
        if self.phase != "dead":
            self.phase, self.death, self.cut = "dead", reason, ""
        self.running, self.busy = False, None
        self.results.fold = None
        self.training.died()
        self.unanswered.clear()

    def line_cut(self, sentence: str) -> None:
        """The engine goes on and cannot be reached; what is known of it stays on the screen."""
        if self.opened and not self.cut:  # later ones are further attempts
            self.wanted = self.confirmed
        self.phase, self.cut = "starting", sentence
        self.running, self.busy = False, None
        self.training.died()
        self.unanswered.clear()

    def left(self) -> None:
        """This run is left for another: nothing of it stays."""
        fresh = RunState()
        fresh._ids = self._ids
        self.__dict__.update(fresh.__dict__)

    def restarted(self) -> None:
        """A new engine is being started in place of the dead one; the mask wished for is kept."""
        self.phase, self.death = "starting", ""
        self.loading.clear()
        self.question = None
        self.provisional = self.session is not None

    def _opened(self, event: SessionOpened) -> None:
        early = self.provisional or self.chosen_early
        keep = early and self.session is not None and self._same_owners(event)
        self.session, self.phase, self.question = event, "ready", None
        self.provisional = False
        self.confirmed = frozenset(event.trainable)
        if not (keep and (self.undo_list or self.redo_list or self.chosen_early)):
            # Nothing was toggled on the cached stack (or it was another stack): the engine's word.
            self.wanted = self.confirmed
            self.undo_list.clear()
            self.redo_list.clear()
        self.chosen_early = False
        self._predicted_for = None
        self.norm_modes = dict(event.norm_modes)
        self.measured = self.last = self.validated = self.busy = self.not_applied = None
        if self.curves[-1].loss:
            self.curves.append(Curve(start=event.start))
        self.curves[-1].start = event.start
        self.skipped_images = event.skipped_images
        self.notices.extend(event.notes)

    def _told(self, event: HistorySent) -> None:
        """The curves of a run that goes on: its earlier starts are ghosts, the last one goes on."""
        first = self.session.weights if self.session else ""
        self.curves = [
            Curve(
                start=one.start,
                loss=list(one.losses),
                full_validation=list(one.validations),
                validation=list(one.yardstick),
                accuracy=sorted(
                    (step, right / total)
                    for step, right, total in (*(v[:3] for v in one.validations), *one.yardstick)
                ),
                strategies=list(one.strategies) or ([None] if one.losses else []),
                plan=one.plan,
                weights=one.weights if one.weights != first else "",
            )
            for one in event.starts
        ] or self.curves

    def _same_owners(self, event: SessionOpened) -> bool:
        assert self.session is not None
        ours, theirs = self.session.stack.owners, event.stack.owners
        return [owner.name for owner in ours] == [owner.name for owner in theirs]

    def _refused(self, event: Refused) -> None:
        if event.id in self.unanswered:
            del self.unanswered[event.id]
            if not self.unanswered:
                self.wanted = self.confirmed
        self.notices.append(event.reason)

    def proposed(self) -> tuple[int, ...] | int | None:
        """What can be accepted in place of a step that ran out of memory: a mask, or a batch size
        as long as nothing was trained; None if there is nothing."""
        refused = self.not_applied
        if refused is None or self.phase != "ready":
            return None
        if refused.trainable is not None:
            return refused.trainable
        untouched = len(self.curves) == 1 and not self.curves[-1].loss
        return refused.batch_size if untouched else None

    def _stepped(self, event: StepTaken) -> None:
        self.busy = self.not_applied = None
        self.last = event
        if event.rows:
            self.measured = event
        curve = self.curves[-1]
        if curve.loss and event.step <= curve.loss[-1][0]:
            return  # a screen that comes back is told the last measurement behind the history
        curve.loss.append((event.step, event.loss))
        strategy = self.strategy_of(frozenset(event.mask))
        if strategy not in curve.strategies:
            curve.strategies.append(strategy)
        curve.plan = self.training.plan.name if self.training.plan else ""
        if self.session and self.training.weights != self.session.weights:
            curve.weights = self.training.weights
        # A start over can be taken back only until the next step.
        self.undo_list = [entry for entry in self.undo_list if isinstance(entry, MaskChange)]

    def _validated(self, event: Validated) -> None:
        self.busy = None
        self.validated = event
        curve = self.curves[-1]
        told = curve.validation if event.yardstick else curve.full_validation
        if told and event.step <= told[-1][0]:
            return
        if event.total:
            self.curves[-1].accuracy.append((event.step, event.correct / event.total))
        if event.yardstick:
            self.curves[-1].validation.append((event.step, event.correct, event.total))
        else:
            whole = (event.step, event.correct, event.total, event.loss)
            self.curves[-1].full_validation.append(whole)

    def _started_over(self, event: StartedOver) -> None:
        self._before_start_over = (self.measured, self.last, self.validated)
        self.measured = self.last = self.validated = None
        if self.curves[-1].loss:
            self.curves.append(Curve(start=event.start))
        self.undo_list.append(StartOverEntry())

    def _start_over_undone(self) -> None:
        self.measured, self.last, self.validated = self._before_start_over
        if len(self.curves) > 1 and not self.curves[-1].loss:
            self.curves.pop()
        # Taken back before it was even heard of.
        self.undo_list = [e for e in self.undo_list if not isinstance(e, StartOverEntry)]

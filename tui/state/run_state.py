"""The state of a run as the screen knows it, reduced from the engine's events and the keys.

`RunState` contains no widget and does no input or output, so that it can be tested without a
terminal. Widgets get the whole state and keep none of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from tl_tui.estimates.gradient_reach import combine_reach, predict_reach
from tl_tui.protocol.checks import Audited
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
    StepNotApplied,
    StepTaken,
    TrainBegan,
    TrainEnded,
    Validated,
)
from tui.state.mask_undo import Mask, MaskChange, MaskHistory, RestoreEntry, StartOverEntry
from tui.state.measurements import Measurements
from tui.state.results import Results
from tui.state.training_state import TrainingState

Trainable = Literal["all", "none", "partial"]


@dataclass(frozen=True)
class EngineNotice:
    """A sentence from the engine that the app has to show."""

    sentence: str
    answers_command: bool = False
    """Whether it is the reason why a command was refused."""


class RunState(MaskHistory, Measurements):
    """Everything that the screen shows."""

    def __init__(self) -> None:
        MaskHistory.__init__(self)
        Measurements.__init__(self)
        self.phase: Literal["starting", "asking", "ready", "dead"] = "starting"
        self.greeted: Greeted | None = None
        self.watched = ViewersChanged(clients=1, in_control=True)
        """The number of screens on this engine, and whether this one steers."""
        self.watched_before = self.watched
        self.loading: dict[str, LoadingProgressed] = {}
        """The progress of opening by stage, as far as it was reported."""
        self.question: OpenFailed | None = None
        self.session: SessionOpened | None = None
        self.provisional = False
        """Whether the stack comes from the cache because the engine is still loading."""
        self.chosen_early = False
        """Whether the mask was changed while the engine could not be asked: on the cached stack, or
        while the connection was lost. It is sent once the engine is ready."""
        self.job_ends: float | None = None
        """When the engine's SLURM job ends, in seconds since 1970; None if it is not known."""
        self.cut: str = ""
        """Why the connection to a running engine is lost; empty while it is not."""
        self.death: str = ""
        """Why the engine ended; empty while it runs."""

        self.norm_modes: dict[int, NormMode] = {}
        self.running = False
        """Whether the engine works on a `Train` command."""
        self.training = TrainingState()
        self.results = Results()
        self.busy: Heartbeat | None = None
        """What the engine has been busy with for more than a second; None if nothing."""
        self.audited: Audited | None = None
        self.skipped_images = 0
        self.not_applied: StepNotApplied | None = None
        """The last step if it failed; None once another step was taken."""
        self.notices: list[EngineNotice] = []
        """Messages from the engine that the app has not shown yet."""

        self._predicted_for: Mask | None = None
        self._predicted: list[Reach] = []

    # --- reading --------------------------------------------------------------------------------

    @property
    def stack(self) -> StackInfo | None:
        return self.session.stack if self.session else None

    @property
    def step(self) -> int:
        """The number of steps of this start."""
        return self.now.step

    @property
    def steers(self) -> bool:
        """Whether the engine accepts commands that change the run from this screen."""
        return self.phase == "ready" and self.watched.in_control

    @property
    def idle(self) -> bool:
        """Whether a step can be taken with a key: neither training nor a cross-validation runs."""
        return self.steers and not self.running and self.results.fold is None

    @property
    def pending(self) -> bool:
        """Whether the wanted mask differs from the mask of the last step."""
        return self.applied is not None and self.applied != self.wanted

    @property
    def opened(self) -> bool:
        """Whether the session comes from an engine and not from the cache."""
        return self.session is not None and not self.provisional

    @property
    def strategy(self) -> str | None:
        """The strategy whose mask is the wanted one; None if the mask was set by hand."""
        return self.strategy_of(self.wanted)

    def strategy_of(self, mask: Mask) -> str | None:
        """Return the strategy that has this mask; None if there is none."""
        strategies = self.session.strategies if self.session else {}
        return next((name for name, on in strategies.items() if frozenset(on) == mask), None)

    def row_owners(self, row: int) -> range:
        """Return the owners of a row. There must be a stack."""
        info = self._rows()[row]
        return range(info.first_owner, info.end_owner)

    def stage_owners(self, stage: int) -> range:
        """Return the owners of a stage's rows. There must be a stack."""
        assert self.session is not None
        info = self.session.stack.stages[stage]
        rows = self._rows()
        return range(rows[info.first_row].first_owner, rows[info.end_row - 1].end_owner)

    def trainable(self, owners: range, mask: Mask | None = None) -> Trainable:
        """Return how many of these owners are trainable in a mask (by default the wanted one)."""
        mask = self.wanted if mask is None else mask
        count = sum(owner in mask for owner in owners)
        return "none" if count == 0 else "all" if count == len(owners) else "partial"

    def trainable_params(self, mask: Mask | None = None) -> int:
        """Return the number of trainable parameters in a mask (by default the wanted one)."""
        mask = self.wanted if mask is None else mask
        if self.session is None:
            return 0
        return sum(self.session.stack.owners[owner].params for owner in mask)

    def predicted(self, owners: range) -> Reach:
        """Return how far the next step will reach these owners, from the wanted mask and the
        model's graph."""
        assert self.session is not None
        if self._predicted_for != self.wanted:
            parents = [owner.parents for owner in self.session.stack.owners]
            self._predicted = predict_reach(parents, self.wanted)
            self._predicted_for = self.wanted
        return combine_reach(self._predicted[owner] for owner in owners)

    def lowest_reached(self, *, predicted: bool) -> int | None:
        """Return the index of the lowest row that the gradient reaches.

        Args:
            predicted: Whether to predict the row for the wanted mask; otherwise it is that of the
                last measured step.

        Returns:
            None if no row is reached: everything is frozen, or no step has been measured yet.
        """
        for row in range(len(self._rows())):
            if predicted:
                reach = self.predicted(self.row_owners(row))
            else:
                measurement = self.row_measurement(row)
                reach = measurement.reach if measurement else "unreached"
            if reach != "unreached":
                return row
        return None

    def proposed(self) -> tuple[int, ...] | int | None:
        """Return what can replace a step that ran out of memory.

        Returns:
            The trainable owners of a smaller mask; or a smaller batch size if nothing was trained
            yet; or None.
        """
        failed = self.not_applied
        if failed is None or self.phase != "ready":
            return None
        if failed.trainable is not None:
            return failed.trainable
        untrained = len(self.curves) == 1 and not self.curves[-1].loss
        return failed.batch_size if untrained else None

    def _rows(self) -> tuple[RowInfo, ...]:
        assert self.session is not None, "there is no stack yet"
        return self.session.stack.rows

    # --- events ---------------------------------------------------------------------------------

    def show_cached(self, session: SessionOpened) -> None:
        """Show the stack of the last session until the engine has opened this one."""
        if self.session is None:
            # The cached plan belongs to an earlier start, not to the stack.
            self.session = session = msgspec.structs.replace(session, plan=None)
            self.wanted = frozenset(session.trainable)
            self.provisional = True
            self.training.apply(session)

    def apply(self, event: AnyEvent) -> None:
        """Update the state from one event."""
        if not isinstance(event, (Greeted, ViewersChanged)):
            self.busy = None  # the engine sends the others between two units of work
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
                self._open(event)
            case HistorySent():
                self.restore_curves(event, self.session.weights if self.session else "")
            case Confirmed():
                self.confirmed = self.unanswered.pop(event.id, self.confirmed)
            case Refused():
                self._refuse(event)
            case StepNotApplied():
                self.not_applied = event
            case StepTaken():
                self._take_step(event)
            case Validated():
                self.add_validation(event)
            case NormModeChanged():
                for owner in event.owners:
                    self.norm_modes[owner] = event.mode
            case StartedOver():
                self.begin_start(event)
                self.undo_list.append(StartOverEntry())
            case StartOverUndone():
                self.undo_start(event)
                # The user may have undone it before this screen had the StartedOver event.
                self.undo_list = [e for e in self.undo_list if not isinstance(e, StartOverEntry)]
            case MaskPlanned():
                # The user did not choose this mask: undo skips it, and it must not replace a mask
                # that the user has chosen since.
                self.confirmed = frozenset(event.trainable)
                if not self.unanswered:
                    self.wanted, self.planned_why = self.confirmed, event.reason
                    self.chosen_by = "engine" if event.reason else "another screen"
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
                self.audited = event
            case TrainEnded():
                self.running = False
            case ImageSkipped():
                self.skipped_images = event.total
            case Heartbeat(activity=activity) if activity:
                self.busy = event
            case EngineFailed():
                self.died(event.sentence)

    def died(self, reason: str) -> None:
        """Note that the engine has ended. Measurements stay; only the first reason is kept."""
        if self.phase != "dead":
            self.phase, self.death, self.cut = "dead", reason, ""
        self.running, self.busy = False, None
        self.results.fold = None
        self.training.died()
        self.unanswered.clear()

    def line_cut(self, sentence: str) -> None:
        """Note that the connection is lost while the engine continues. Measurements stay."""
        if self.opened and not self.cut:  # later calls report further attempts to reconnect
            self.wanted = self.confirmed
        self.phase, self.cut = "starting", sentence
        self.running, self.busy = False, None
        self.results.fold = None
        self.training.died()
        self.unanswered.clear()

    def left(self) -> None:
        """Forget everything about this run, because another one is opened."""
        fresh = RunState()
        fresh._ids = self._ids
        self.__dict__.update(fresh.__dict__)

    def restarted(self) -> None:
        """Note that a new engine is started in place of one that died; the wanted mask stays."""
        self.phase, self.death = "starting", ""
        self.loading.clear()
        self.question = None
        self.provisional = self.session is not None

    def _open(self, event: SessionOpened) -> None:
        early = self.provisional or self.chosen_early
        keep = early and self.session is not None and self._same_owners(event)
        self.session, self.phase, self.question = event, "ready", None
        self.provisional = False
        self.confirmed = frozenset(event.trainable)
        if not (keep and (self.undo_list or self.redo_list or self.chosen_early)):
            # The user changed nothing meanwhile, or on another stack: use the engine's mask.
            self.wanted, self.planned_why = self.confirmed, ""
            self.chosen_by = "unknown" if event.start or event.step else "you"
            self.undo_list.clear()
            self.redo_list.clear()
        self.chosen_early = False
        self._predicted_for = None
        self.norm_modes = dict(event.norm_modes)
        self.not_applied = self.audited = None
        self.begin_session(event)
        self.skipped_images = event.skipped_images
        self.notices.extend(EngineNotice(note) for note in event.notes)

    def _same_owners(self, event: SessionOpened) -> bool:
        assert self.session is not None
        ours, theirs = self.session.stack.owners, event.stack.owners
        return [owner.name for owner in ours] == [owner.name for owner in theirs]

    def _refuse(self, event: Refused) -> None:
        if event.id in self.unanswered:
            del self.unanswered[event.id]
            if not self.unanswered:
                self.wanted = self.confirmed
        self.notices.append(EngineNotice(event.reason, answers_command=event.id != 0))

    def _take_step(self, event: StepTaken) -> None:
        self.not_applied = None
        if not self.add_step(event):
            return
        curve = self.curves[-1]
        strategy = self.strategy_of(frozenset(event.mask))
        if strategy not in curve.strategies:
            curve.strategies.append(strategy)
        curve.plan = self.training.plan.name if self.training.plan else ""
        if self.session and self.training.weights != self.session.weights:
            curve.weights = self.training.weights
        # A start over can be undone only until the next step.
        self.undo_list = [entry for entry in self.undo_list if isinstance(entry, MaskChange)]

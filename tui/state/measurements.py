"""What the steps and validations of the run have measured, with the curves of all starts."""

from __future__ import annotations

from typing import NamedTuple

from tl_tui.protocol.session import HistorySent, SessionOpened, StartedOver, StartOverUndone
from tl_tui.protocol.training import LayerMeasurement, StepTaken, Validated
from tui.state.curve import Curve
from tui.state.mask_undo import Mask
from tui.state.moment import Dated, Moment, moment_of


class _StartBefore(NamedTuple):
    """The measurements and curves before the last start over, in case it is undone."""

    now: Moment
    measured: StepTaken | None
    last: StepTaken | None
    validated: Validated | None
    curves: tuple[Curve, ...]


class Measurements:
    """The last step, the last measured step, the last validation, and the curves."""

    def __init__(self) -> None:
        self.now = Moment(0, 0)
        """The current start and its last step. Every number of another moment is shown with it."""
        self.measured: StepTaken | None = None
        """The last measured step of this start."""
        self.last: StepTaken | None = None
        """The last step of this start, measured or not."""
        self.validated: Validated | None = None
        """The last validation of either kind of this start."""
        self.curves: list[Curve] = [Curve(start=0)]
        """The curves of all starts, oldest first; the last one is the current start's."""
        self._before_start_over: _StartBefore | None = None

    @property
    def applied(self) -> Mask | None:
        """The mask of the last step; None before the first step of this start."""
        return frozenset(self.last.mask) if self.last else None

    @property
    def measured_mask(self) -> Mask:
        """The mask of the last measured step; later steps may have used another one."""
        return frozenset(self.measured.mask) if self.measured else frozenset()

    @property
    def measured_is_last(self) -> bool:
        """Whether the last step was measured."""
        return (
            self.measured is not None
            and self.last is not None
            and moment_of(self.measured) == moment_of(self.last)
        )

    def row_measurement(self, row: int) -> LayerMeasurement | None:
        """Return what the last measured step did at a row; None before the first."""
        return self.measured.rows[row] if self.measured and self.measured.rows else None

    # --- updates --------------------------------------------------------------------------------

    def begin_session(self, session: SessionOpened) -> None:
        """Forget the last step and validation; earlier curves stay as ghosts."""
        self.now = moment_of(session)
        self.measured = self.last = self.validated = self._before_start_over = None
        self._begin_curve(session.start)

    def restore_curves(self, history: HistorySent, weights: str) -> None:
        """Replace the curves by those of a resumed run.

        Args:
            history: The curves of all starts, oldest first.
            weights: The label of the session's weights, with which a curve is not labelled.
        """
        self.curves = [
            Curve(
                start=start.start,
                loss=list(start.losses),
                full_validation=list(start.validations),
                validation=list(start.yardstick),
                accuracy=sorted(
                    (step, right / total)
                    for step, right, total in (
                        *(validation[:3] for validation in start.validations),
                        *start.yardstick,
                    )
                ),
                strategies=list(start.strategies) or ([None] if start.losses else []),
                plan=start.plan,
                weights=start.weights if start.weights != weights else "",
            )
            for start in history.starts
        ] or self.curves

    def reach_moment(self, event: Dated) -> None:
        """Note that an event belongs to the current start, at its last step or before it."""
        moment = moment_of(event)
        if moment.start != self.now.start or moment.step > self.now.step:
            self.now = moment

    def add_step(self, event: StepTaken) -> bool:
        """Add a step. Return False if the curve contains it already.

        The engine sends the last measurement again, after the history, to a screen that
        reconnects.
        """
        self.reach_moment(event)
        self.last = event
        if event.rows:
            self.measured = event
        losses = self.curves[-1].loss
        if losses and event.step <= losses[-1][0]:
            return False
        losses.append((event.step, event.loss))
        return True

    def add_validation(self, event: Validated) -> None:
        """Add a validation, unless the curve contains it already."""
        self.validated = event
        curve = self.curves[-1]
        known = curve.validation if event.yardstick else curve.full_validation
        if known and event.step <= known[-1][0]:
            return
        if event.total:
            curve.accuracy.append((event.step, event.correct / event.total))
        if event.yardstick:
            curve.validation.append((event.step, event.correct, event.total))
        else:
            curve.full_validation.append((event.step, event.correct, event.total, event.loss))

    def begin_start(self, event: StartedOver) -> None:
        """Begin a new curve; the last measurements are kept in case this is undone."""
        self._before_start_over = _StartBefore(
            self.now, self.measured, self.last, self.validated, tuple(self.curves)
        )
        self.now = Moment(event.start, 0)
        self.measured = self.last = self.validated = None
        self._begin_curve(event.start)

    def undo_start(self, event: StartOverUndone) -> None:
        """Return to the curve and the measurements from before the last start over."""
        before, self._before_start_over = self._before_start_over, None
        self.now = moment_of(event)
        if before is not None and before.now == self.now:
            self.measured, self.last, self.validated = before[1:4]
            self.curves = list(before.curves)
            return
        # This screen was not there when it was started over, so it does not know the step before.
        self.measured = self.last = self.validated = None
        if len(self.curves) > 1 and not self.curves[-1].loss:
            self.curves.pop()

    def _begin_curve(self, start: int) -> None:
        if self.curves[-1].loss:
            self.curves.append(Curve(start=start))
        else:
            self.curves[-1] = Curve(start=start)

"""The panel with the cost of the next step, or of a toggle of the row under the cursor."""

from __future__ import annotations

from tl_tui.protocol.training import StepTaken
from tui.drawing.lines import Line, fitted, line
from tui.state.cursor import Target
from tui.state.mask_edits import after_toggle
from tui.state.moment import Moment
from tui.state.run_state import RunState
from tui.text.format import format_bytes, format_ms, format_params, percent_change
from tui.text.moments import step_text
from tui.text.step_cost import StepCost, cost_difference, step_cost_of, toggle_cost_text
from tui.widgets.state_lines import StateLines


class StepCostPanel(StateLines):
    """A table of parameters, time and memory of a step: now, next, and the difference."""

    target: Target | None = None

    @property
    def title(self) -> str:
        """The title for the panel's frame."""
        state = self.state
        if state is None or state.session is None or self.target is None or state.pending:
            return "cost of the next step"
        edit = after_toggle(state, self.target)
        return f"cost of {'thawing' if edit.action == 'thaw' else 'freezing'} {edit.layer}"

    def lines(self, state: RunState) -> list[Line]:
        width, height = self.size
        if state.session is None or self.target is None:
            return []
        if state.pending:
            assert state.applied is not None
            now, after, heading = state.applied, state.wanted, "next"
        else:
            edit = after_toggle(state, self.target)
            now, after = state.wanted, edit.mask
            heading = "thawed" if edit.action == "thaw" else "frozen"
        before, then = step_cost_of(state, now), step_cost_of(state, after)
        estimated = "" if before.step_ms is None else "estimate"
        lines = [_row(estimated, "now", heading, "", "dim"), *_rows(before, then)]
        if before.step_ms is None:
            lines.append(line((fitted(_why_no_estimate(state), width), "dim")))
        elif state.last is not None:
            lines.append(line((fitted(step_duration_text(state.last, state.now), width), "dim")))
        if state.pending:
            lines.append(line(("undo     ", "dim"), "u, costs nothing yet"))
            lines.append(line((fitted(toggle_cost_text(state, self.target), width), "dim")))
        return [*lines[:height]]


def step_duration_text(step: StepTaken, now: Moment) -> str:
    """Return what a step took, and why that may be less than the estimate.

    The estimate is for a step that executes every layer, one operation after the other.
    """
    took = format_ms(step.seconds * 1000)
    if step.memory_used:
        took += f", {format_bytes(step.memory_used)}"
    text = f"{step_text(step, now)} took {took}"
    if step.cached_rows:
        layers = "1 layer" if step.cached_rows == 1 else f"{step.cached_rows} layers"
        return f"{text}, {layers} cached"
    return f"{text}, captured" if step.captured else text


def _why_no_estimate(state: RunState) -> str:
    if state.phase != "ready":
        return "time, memory: not measured yet"
    if state.running or state.results.fold is not None:
        return "time, memory: measured after this"
    return "time, memory: being measured"


def _rows(before: StepCost, then: StepCost) -> list[Line]:
    more = cost_difference(before, then)
    rows = [_row("params", format_params(before.params), format_params(then.params), more.params)]
    if before.step_ms is not None and then.step_ms is not None:
        change = percent_change(before.step_ms, then.step_ms)
        rows.append(_row("step", format_ms(before.step_ms), format_ms(then.step_ms), change))
    if before.peak_bytes is not None and then.peak_bytes is not None:
        now, after = format_bytes(before.peak_bytes), format_bytes(then.peak_bytes)
        rows.append(_row("memory", now, after, more.memory))
    return rows


def _row(name: str, now: str, then: str, more: str, style: str = "text") -> Line:
    """Return a name and three right-aligned columns in 33 cells."""
    return line((f"{name:<8}", "dim"), (f"{now:>7} {then:>8} {more:>8}", style))

"""The price of the next step, or of toggling the row under the cursor, beside what is now."""

from __future__ import annotations

from tui.drawing.lines import Line, fitted, line
from tui.state.cursor import Target, target_name
from tui.state.mask_edits import after_toggle
from tui.state.run_state import RunState
from tui.text.format import format_bytes, format_ms, format_params, percent_change
from tui.text.step_cost import StepCost, cost_differences, step_cost_of, toggle_cost
from tui.widgets.state_lines import StateLines


class StepCostPanel(StateLines):
    """Now, next and the difference: parameters, time of a step, memory."""

    target: Target | None = None

    @property
    def title(self) -> str:
        """What is priced, for the panel's frame."""
        state = self.state
        if state is None or state.session is None or self.target is None or state.pending:
            return "price of the next step"
        _, what = after_toggle(state, self.target)
        doing = {"thaw": "thawing", "freeze": "freezing"}[what.partition(" ")[0]]
        return f"price of {doing} {target_name(state.session.stack, self.target)}"

    def lines(self, state: RunState) -> list[Line]:
        width, height = self.size
        if state.session is None or self.target is None:
            return []
        toggled, what = after_toggle(state, self.target)
        if state.pending:
            assert state.applied is not None
            now, after, heading = state.applied, state.wanted, "next"
        else:
            now, after = state.wanted, toggled
            heading = "thawed" if what.startswith("thaw") else "frozen"
        before, then = step_cost_of(state, now), step_cost_of(state, after)
        lines = [_row("", "now", heading, "", "dim"), *_rows(before, then)]
        if before.step_ms is None:
            lines.append(line(("time, memory: being measured", "dim")))
        elif state.last is not None:
            took = format_ms(state.last.seconds * 1000)
            where = f"in step {state.step}"
            if used := state.last.memory_used:
                took, where = f"{took}, {format_bytes(used)}", "in all"
            lines.append(line(("measured ", "dim"), fitted(took, width - 9), (f" {where}", "dim")))
        if state.pending:
            lines.append(line(("undo     ", "dim"), "u, costs nothing yet"))
            lines.append(line((fitted(toggle_cost(state, self.target), width), "dim")))
        return [*lines[:height]]


def _rows(before: StepCost, then: StepCost) -> list[Line]:
    more = cost_differences(before, then)
    rows = [_row("params", format_params(before.params), format_params(then.params), more[0])]
    if before.step_ms is not None and then.step_ms is not None:
        change = percent_change(before.step_ms, then.step_ms)
        rows.append(_row("step", format_ms(before.step_ms), format_ms(then.step_ms), change))
    if before.peak_bytes is not None and then.peak_bytes is not None:
        rows.append(
            _row("memory", format_bytes(before.peak_bytes), format_bytes(then.peak_bytes), more[2])
        )
    return rows


def _row(name: str, now: str, then: str, more: str, style: str = "text") -> Line:
    """Name and three right-aligned columns in 33 cells."""
    return line((f"{name:<8}", "dim"), (f"{now:>7} {then:>8} {more:>8}", style))

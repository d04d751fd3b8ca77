"""The second line: the strategies with their keys, and the number of trainable parameters."""

from __future__ import annotations

from tui.drawing.lines import Line, Piece, justified, line_width
from tui.state.curve import STRATEGY_KEYS
from tui.state.run_state import RunState
from tui.text.format import format_params
from tui.widgets.state_lines import StateLines


class StrategyLine(StateLines):
    """Highlights the current strategy, `by hand` or the plan."""

    def lines(self, state: RunState) -> list[Line]:
        session, width = state.session, self.size.width
        if session is None:
            return []
        left: list[Piece] = [("strategy  ", "dim")] if width >= 100 else []
        left += _plan(state, width) if state.training.plan else _names(state, width)
        wanted = state.trainable_params()
        total = format_params(sum(owner.params for owner in session.stack.owners))
        trains, then = f"{format_params(wanted, unit=False)} of {total}", ""
        if width >= 100 and state.pending and state.applied is not None:
            now = state.trainable_params(state.applied)
            if format_params(now) != format_params(wanted):
                trains = f"{format_params(now, unit=False)} of {total}"
                then = f"→ {format_params(wanted)} next step "
        if width >= 100:
            left.insert(0, (" ", "text"))
        forms = [f"{trains} train {then}", f"{trains} {then}", f"{format_params(wanted)} "]
        right = next((form for form in forms if line_width(left) + len(form) < width), "")
        if not right:
            # Too narrow for the list: show the current strategy alone.
            plan, right = state.training.plan, forms[-1]
            label = f"plan {plan.name}" if plan else _label(state.strategy)
            left = [(" ", "text"), (f"[{label}]", "chosen")]
        return [justified(left, [(right, "text")], width)]


def _label(strategy: str | None) -> str:
    if strategy is None:
        return "by hand"
    return " ".join(STRATEGY_KEYS.get(strategy, ("", strategy))).strip()


def _names(state: RunState, width: int) -> list[Piece]:
    """Return all strategies with their keys; the current one is highlighted."""
    gap = " " if width >= 100 else ""
    pieces: list[Piece] = []
    for name in [*(state.session.strategies if state.session else ()), None]:
        if name == state.strategy:
            pieces += [(f"[{_label(name)}]", "chosen"), (gap, "text")]
        else:
            pieces.append((f" {_label(name)} {gap}", "dim" if name is None else "text"))
    return pieces


def _plan(state: RunState, width: int) -> list[Piece]:
    """Return the current plan, its phase, and when it thaws more layers."""
    training = state.training
    plan, phase = training.plan, training.phase(state.step)
    assert plan is not None
    left: list[Piece] = [("", "text") if width >= 100 else (" ", "text")]
    left += [(f"[plan {plan.name}]", "chosen")]
    if phase is None:
        return left
    position = f" phase {plan.phases.index(phase) + 1} of {len(plan.phases)}: {phase.name}"
    coming = training.next_phase(state.step)
    after = f" · next thaw in epoch {training.epoch_of(coming.after_step)}" if coming else ""
    return [
        *left,
        (position, "text"),
        (after, "text"),
        (" · s changes it" if width >= 100 else "", "dim"),
    ]

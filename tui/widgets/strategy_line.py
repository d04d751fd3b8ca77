"""The second line: the strategies with their keys, and how much of the model trains."""

from __future__ import annotations

from tui.drawing.lines import Line, Piece, justified, line_width
from tui.state.curve import STRATEGY_KEYS
from tui.state.run_state import RunState
from tui.text.format import format_params
from tui.widgets.state_lines import StateLines


class StrategyLine(StateLines):
    """Lights the strategy that is on, or `by hand`."""

    def lines(self, state: RunState) -> list[Line]:
        session, width = state.session, self.size.width
        if session is None:
            return []
        left: list[Piece] = [("strategy  ", "dim")] if width >= 100 else []
        left += _plan(state, width) if state.training.plan else _names(state, width)
        unit = " M"  # said once
        total = sum(owner.params for owner in session.stack.owners)
        trains = format_params(state.trainable_params()).removesuffix(unit)
        right = f"{trains} of {format_params(total)} train "
        if width >= 100 and state.pending and state.applied is not None:
            now = format_params(state.trainable_params(state.applied)).removesuffix(unit)
            wanted = format_params(state.trainable_params())
            if format_params(state.trainable_params(state.applied)) != wanted:
                right = f"{now} of {format_params(total)} train → {wanted} next step "
        if width >= 100:
            left.insert(0, (" ", "text"))
        shorter = [right.replace(" train ", " "), f"{format_params(state.trainable_params())} "]
        right = next((t for t in (right, *shorter) if line_width(left) + len(t) < width), "")
        if not right:
            # Too narrow for the list: the one that is on.
            plan, right = state.training.plan, shorter[-1]
            label = f"plan {plan.name}" if plan else _label(state.strategy)
            left = [(" ", "text"), (f"[{label}]", "chosen")]
        return [justified(left, [(right, "text")], width)]


def _label(strategy: str | None) -> str:
    if strategy is None:
        return "by hand"
    return " ".join(STRATEGY_KEYS.get(strategy, ("", strategy))).strip()


def _names(state: RunState, width: int) -> list[Piece]:
    """Every strategy with its key; the one that is on is lit."""
    gap = " " if width >= 100 else ""
    pieces: list[Piece] = []
    for name in [*(state.session.strategies if state.session else ()), None]:
        if name == state.strategy:
            pieces += [(f"[{_label(name)}]", "chosen"), (gap, "text")]
        else:
            pieces.append((f" {_label(name)} {gap}", "dim" if name is None else "text"))
    return pieces


def _plan(state: RunState, width: int) -> list[Piece]:
    """The plan that is on, its phase, and what comes next."""
    training = state.training
    plan, phase = training.plan, training.phase(state.step)
    assert plan is not None
    left: list[Piece] = [("", "text") if width >= 100 else (" ", "text")]
    left += [(f"[plan {plan.name}]", "chosen")]
    if phase is None:
        return left
    said = f" phase {plan.phases.index(phase) + 1} of {len(plan.phases)}: {phase.name}"
    coming = training.next_phase(state.step)
    after = f" · next thaw in epoch {training.epoch_of(coming.after_step)}" if coming else ""
    return [
        *left,
        (said, "text"),
        (after, "text"),
        (" · s changes it" if width >= 100 else "", "dim"),
    ]

"""The second line: the strategies with their keys, and how much of the model trains."""

from __future__ import annotations

from tui.state import STRATEGY_KEYS, RunState
from tui.widgets.painted_lines import Line, PaintedLines, Piece, justified, line_width


class StrategyLine(PaintedLines):
    """Lights the strategy that is on, or `by hand`."""

    def lines(self, state: RunState) -> list[Line]:
        session, width = state.session, self.size.width
        if session is None:
            return []
        names = [
            (name, " ".join(STRATEGY_KEYS.get(name, ("", name))).strip())
            for name in session.strategies
        ]
        strategy = state.strategy
        left: list[Piece] = [("strategy  ", "dim")] if width >= 100 else []
        for name, label in [*names, (None, "by hand")]:
            if name == strategy:
                left += [(f"[{label}]", "chosen"), (" ", "text")]
            else:
                left.append((f" {label}  ", "dim" if name is None else "text"))
        unit = " M"  # said once
        total = sum(owner.params for owner in session.stack.owners)
        right = f"{amount(state.trainable_params()).removesuffix(unit)} of {amount(total)} train "
        if width >= 100 and state.pending and state.applied is not None:
            now = amount(state.trainable_params(state.applied)).removesuffix(unit)
            wanted = amount(state.trainable_params())
            if amount(state.trainable_params(state.applied)) != wanted:
                right = f"{now} of {amount(total)} train → {wanted} next step "
        if width >= 100:
            left.insert(0, (" ", "text"))
        if line_width(left) + len(right) + 1 > width:
            right = f"{amount(state.trainable_params())} "
        if line_width(left) + len(right) + 1 > width:
            # Too narrow for the list: the one that is on.
            label = dict(names).get(strategy or "", "by hand")
            left = [(" ", "text"), (f"[{label}]", "chosen")]
        return [justified(left, [(right, "text")], width)]


def amount(params: int) -> str:
    """How many parameters: `1,026`, `5.90 M`, `117 M`."""
    if params < 10_000:
        return f"{params:,}"
    value = params / 1e6
    return f"{value:.2f} M" if value < 100 else f"{value:.0f} M"

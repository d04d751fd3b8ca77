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
        total = sum(owner.params for owner in session.stack.owners)
        right = f"{millions(state.trainable_params())} of {millions(total)} M train "
        if width >= 100 and state.pending and state.applied is not None:
            now = millions(state.trainable_params(state.applied))
            wanted = millions(state.trainable_params())
            right = f"{now} of {millions(total)} M train → {wanted} M next step "
        if width >= 100:
            left.insert(0, (" ", "text"))
        if line_width(left) + len(right) + 1 > width:
            right = f"{millions(state.trainable_params())} M "
        if line_width(left) + len(right) + 1 > width:
            # Too narrow for the list: the one that is on.
            label = dict(names).get(strategy or "", "by hand")
            left = [(" ", "text"), (f"[{label}]", "chosen")]
        return [justified(left, [(right, "text")], width)]


def millions(params: int) -> str:
    """Such as `5.90` (millions); four digits at most."""
    value = params / 1e6
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"

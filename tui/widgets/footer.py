"""The last line: the most important keys, as they apply to the row under the cursor."""

from __future__ import annotations

from tui.drawing.lines import Line, Piece, line_width
from tui.keys import key_of
from tui.state.cursor import Target, target_owners
from tui.state.run_state import RunState
from tui.text.step_cost import toggle_difference
from tui.widgets.state_lines import StateLines

LEFT = (
    "freeze_or_train",
    "step",
    "run",
    "results",
    "undo",
    "start_over",
    "freeze_below",
    "images",
    "recipe",
    "rate(-1)",
    "replay",
    "find",
)
"""Actions in the order of importance; the line shows as many as fit."""
SHOWN = (
    "freeze_or_train",
    "freeze_below",
    "step",
    "run",
    "replay",
    "rate(-1)",
    "start_over",
    "results",
    "images",
    "recipe",
    "undo",
    "find",
)
"""The same actions in the order in which they are shown."""
RIGHT = ("command_palette", "help", "leave")


class Footer(StateLines):
    """Keys in reverse video, each with a label."""

    target: Target | None = None
    shows_cost = False
    """Whether to show the cost of a toggle, because no other widget does."""

    def lines(self, state: RunState) -> list[Line]:
        width = self.size.width
        right = [_entry(action) for action in (RIGHT if width >= 100 else RIGHT[1:])]
        if width < 60:
            right = right[-1:]
        chosen: list[str] = []
        for action in ("restart", *LEFT[1:]) if state.phase == "dead" else LEFT:
            if self._length([*chosen, action], state) + self._width(right) + 3 <= width:
                chosen.append(action)
        order = ("restart", *SHOWN)
        left = [self._label(action, state) for action in order if action in chosen]
        pieces = self._joined(left)
        end = self._joined(right)
        gap = width - 1 - line_width(pieces) - line_width(end)
        if gap > 2:
            gap, end = gap - 1, [*end, (" ", "text")]
        return [((" ", "text"), *pieces, (" " * gap, "text"), *end)]

    def _length(self, actions: list[str], state: RunState) -> int:
        return self._width([self._label(action, state) for action in actions])

    def _width(self, entries: list[tuple[str, str]]) -> int:
        return line_width(self._joined(entries))

    def _label(self, action: str, state: RunState) -> tuple[str, str]:
        if action == "freeze_or_train" and self.target is not None and state.session is not None:
            thaws = state.trainable(target_owners(state, self.target)) != "all"
            label = "thaw  " if thaws else "freeze"
            if self.shows_cost and state.results.step_cost is not None:
                cost = toggle_difference(state, self.target)
                label = " ".join(part for part in (label.strip(), cost.time, cost.memory) if part)
            return _entry(action)[0], label
        if action == "run":
            return _entry(action)[0], "pause" if state.running else "run"
        if action == "rate(-1)":
            return "[ ]", "rate"
        return _entry(action)

    @staticmethod
    def _joined(entries: list[tuple[str, str]]) -> list[Piece]:
        pieces: list[Piece] = []
        for key, label in entries:
            if pieces:
                pieces.append(("  ", "text"))
            pieces += [(key, "chosen"), (f" {label}", "text")]
        return pieces


def _entry(action: str) -> tuple[str, str]:
    key = key_of(action)
    return key.names[0], key.short

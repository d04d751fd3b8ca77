"""The frame around a panel, with its title. The panel's content is drawn over it."""

from __future__ import annotations

from tui.drawing.lines import Line, fitted
from tui.state.run_state import RunState
from tui.widgets.state_lines import StateLines


class Frame(StateLines):
    """A rounded frame."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.title = ""

    def lines(self, state: RunState) -> list[Line]:
        width, height = self.size
        if width < 4 or height < 2:
            return []
        title = fitted(self.glyphs.text(self.title), width - 6)
        rule = "─" * (width - 5 - len(title)) if title else "─" * (width - 3)
        top: Line = (
            (("╭─ ", "dim"), (title, "text"), (f" {rule}"[: width - 4 - len(title)] + "╮", "dim"))
            if title
            else (("╭─" + rule + "╮", "dim"),)
        )
        side: Line = (("│", "dim"), (" " * (width - 2), "text"), ("│", "dim"))
        return [top, *[side] * (height - 2), (("╰" + "─" * (width - 2) + "╯", "dim"),)]

"""Leaving, when something would be lost."""

from __future__ import annotations

from tui.screens.question import Answer, Question
from tui.state import RunState
from tui.theme import Glyphs, Palette


class LeaveQuestion(Question):
    """Asked once steps were taken; dismissed with `leave` or None."""

    def __init__(self, state: RunState, look: tuple[Palette, Glyphs]) -> None:
        steps = sum(curve.loss[-1][0] for curve in state.curves if curve.loss)
        taken = "1 step was" if steps == 1 else f"{steps:,} steps were"
        directory = state.session.run_dir if state.session else ""
        super().__init__(
            "Leave?",
            f"{taken} taken. The trained weights are not kept yet, in this version; "
            f"the journal of what was measured is, in {directory}.",
            [Answer(("q", "y"), "leave", "leave"), Answer(("escape", "n"), "stay", "")],
            look,
        )

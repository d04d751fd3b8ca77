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
        stops = "It is training, and that would stop. " if state.running else ""
        super().__init__(
            "Leave?",
            f"{stops}{taken} taken. {where_the_weights_are(state)}",
            [Answer(("q", "y"), "leave", "leave"), Answer(("escape", "n"), "stay", "")],
            look,
        )


def where_the_weights_are(state: RunState) -> str:
    """Which file holds the weights as they are, or will once the engine has ended."""
    directory = state.session.run_dir if state.session else ""
    last = state.training.checkpoints.get("last")
    if last is not None and last.failure:
        return f"The weights could not be saved: {last.failure} The journal is in {directory}."
    if last is not None and (last.start, last.step) == (state.curves[-1].start, state.step):
        return f"The weights are in {last.path}, the journal beside them."
    return f"The engine saves the weights as it ends, as `last` in {directory}, by the journal."

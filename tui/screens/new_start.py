"""The dialog for a new start, from random weights or from the initial weights."""

from __future__ import annotations

from tui.drawing.theme import Glyphs, Palette
from tui.screens.choice_dialog import Choice, ChoiceDialog
from tui.state.run_state import RunState


class NewStartDialog(ChoiceDialog):
    """A dialog that returns `none`, `first` or `same` for `StartOver.weights`, or None."""

    def __init__(self, state: RunState, appearance: tuple[Palette, Glyphs]) -> None:
        session = state.session
        first = session.weights if session else ""
        scratch = Choice(("1",), "from scratch: random weights, everything trainable", "none")
        answers = [scratch]
        if state.training.weights != first:
            scratch = Choice(("1",), "from scratch again: the same random weights", "same")
            answers = [scratch, Choice(("2",), f"the first start again: {first}", "first")]
        elif session is not None and not session.pretrained:
            answers = [Choice(("1",), "from scratch again: the same random weights", "same")]
        answers.append(Choice(("escape", "n"), "cancel", ""))
        super().__init__(
            "A new start?",
            "The weights of the current start are kept as a checkpoint and its curve as a ghost. "
            "Press u to undo the new start, until its first step.",
            answers,
            appearance,
        )

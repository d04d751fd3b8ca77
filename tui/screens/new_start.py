"""A new start beside the running one: from random weights, or from the first weights again."""

from __future__ import annotations

from tui.drawing.theme import Glyphs, Palette
from tui.screens.choice_dialog import Choice, ChoiceDialog
from tui.state.run_state import RunState


class NewStartDialog(ChoiceDialog):
    """Dismissed with `none`, `first` or `same` for `StartOver.weights`, or None."""

    def __init__(self, state: RunState, appearance: tuple[Palette, Glyphs]) -> None:
        session = state.session
        first = session.weights if session else ""
        scratch = Choice(("1",), "from scratch: random weights, everything trainable", "none")
        answers = [scratch]
        if state.training.weights != first:
            scratch = Choice(("1",), "from scratch once more: the same random weights", "same")
            answers = [scratch, Choice(("2",), f"the first start again: {first}", "first")]
        elif session is not None and not session.pretrained:
            answers = [Choice(("1",), "from scratch once more: the same random weights", "same")]
        answers.append(Choice(("escape", "n"), "stay with this start", ""))
        super().__init__(
            "A new start?",
            "The weights of the running start are kept as a checkpoint, its curve as a ghost. "
            "u takes the new start back until its first step.",
            answers,
            appearance,
        )

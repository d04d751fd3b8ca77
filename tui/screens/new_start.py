"""A new start beside the running one: from random weights, or from the first weights again."""

from __future__ import annotations

from tui.drawing.theme import Glyphs, Palette
from tui.screens.choice_dialog import Answer, Question
from tui.state.run_state import RunState


class NewStart(Question):
    """Dismissed with `none`, `first` or `same` for `StartOver.weights`, or None."""

    def __init__(self, state: RunState, look: tuple[Palette, Glyphs]) -> None:
        session = state.session
        first = session.weights if session else ""
        scratch = Answer(("1",), "from scratch: random weights, everything trainable", "none")
        answers = [scratch]
        if state.training.weights != first:
            scratch = Answer(("1",), "from scratch once more: the same random weights", "same")
            answers = [scratch, Answer(("2",), f"the first start again: {first}", "first")]
        elif session is not None and not session.pretrained:
            answers = [Answer(("1",), "from scratch once more: the same random weights", "same")]
        answers.append(Answer(("escape", "n"), "stay with this start", ""))
        super().__init__(
            "A new start?",
            "The weights of the running start are kept as a checkpoint, its curve as a ghost. "
            "u takes the new start back until its first step.",
            answers,
            look,
        )

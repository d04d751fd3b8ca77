"""The dialog for a session that could not be opened, with other weights to choose."""

from __future__ import annotations

from tl_tui.protocol.session import OpenFailed
from tui.drawing.theme import Glyphs, Palette
from tui.screens.choice_dialog import Choice, ChoiceDialog

DESCRIPTIONS = {
    "none": "none: random weights, with BatchNorm statistics estimated from your images",
    "demo": "demo: the small backbone that comes with tl-tui, weaker than ImageNet weights",
    "default": "default: torchvision's weights, downloaded if necessary",
}
"""The text for each value of `--weights`."""


class OpenFailedDialog(ChoiceDialog):
    """A dialog that returns a value for `--weights`, `leave`, or None."""

    def __init__(self, failed: OpenFailed, appearance: tuple[Palette, Glyphs]) -> None:
        answers = [
            Choice((str(number),), DESCRIPTIONS.get(choice, choice), choice)
            for number, choice in enumerate(failed.choices, start=1)
        ]
        answers.append(Choice(("q", "escape"), "leave", "leave"))
        title = "Which weights?" if failed.choices else "The session cannot be opened"
        super().__init__(title, failed.sentence, answers, appearance)

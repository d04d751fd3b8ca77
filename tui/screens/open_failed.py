"""The session cannot be opened as asked: why, and which weights to take instead if that is it."""

from __future__ import annotations

from tl_tui.protocol.session import OpenFailed
from tui.drawing.theme import Glyphs, Palette
from tui.screens.choice_dialog import Choice, ChoiceDialog

WORDS = {
    "none": "none: random weights, BatchNorm statistics estimated from your images",
    "demo": "demo: the small backbone that comes with tl-tui, no substitute for ImageNet weights",
    "default": "default: torchvision's own, downloaded if need be",
}


class OpenFailedDialog(ChoiceDialog):
    """Dismissed with the value for `--weights`, `leave`, or None."""

    def __init__(self, failed: OpenFailed, appearance: tuple[Palette, Glyphs]) -> None:
        answers = [
            Choice((str(number),), WORDS.get(choice, choice), choice)
            for number, choice in enumerate(failed.choices, start=1)
        ]
        answers.append(Choice(("q", "escape"), "leave", "leave"))
        title = "Which weights?" if failed.choices else "This cannot be opened"
        super().__init__(title, failed.sentence, answers, appearance)

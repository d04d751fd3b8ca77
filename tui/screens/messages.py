"""The list of past messages."""

from __future__ import annotations

from collections.abc import Sequence

from tui.drawing.lines import Line, line, wrapped
from tui.drawing.theme import Glyphs, Palette
from tui.screens.text_page import TextPage


class MessagesScreen(TextPage):
    """A page with the recent messages, the oldest first."""

    def __init__(self, sentences: Sequence[str], appearance: tuple[Palette, Glyphs]) -> None:
        super().__init__("messages", appearance)
        self.sentences = list(sentences) or ["There are no messages yet."]

    def content(self, width: int) -> list[Line]:
        lines: list[Line] = []
        for sentence in self.sentences:
            lines += [*(line(text) for text in wrapped(sentence, width, 20)), ()]
        return lines[:-1]

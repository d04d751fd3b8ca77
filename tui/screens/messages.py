"""The list of past messages."""

from __future__ import annotations

from collections.abc import Sequence

from tui.drawing.lines import Line, line, wrapped
from tui.drawing.sanitize import sanitize
from tui.drawing.theme import Glyphs, Palette
from tui.screens.text_page import TextPage


class MessagesScreen(TextPage):
    """A page with the recent messages, the newest first."""

    def __init__(self, sentences: Sequence[str], appearance: tuple[Palette, Glyphs]) -> None:
        """
        Args:
            sentences: The messages, the oldest first.
            appearance: Colours and characters.
        """
        super().__init__("messages, the newest first", appearance)
        self.sentences = list(reversed(sentences)) or ["There are no messages yet."]

    def content(self, width: int) -> list[Line]:
        lines: list[Line] = []
        for sentence in self.sentences:
            text = self.appearance[1].text(sanitize(sentence))
            lines += [*(line(part) for part in wrapped(text, width)), ()]
        return lines[:-1]

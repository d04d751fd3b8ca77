"""A question with a few answers, chosen by key, by cursor or by mouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult

from tui.drawing.lines import Line, line, wrapped
from tui.drawing.theme import Glyphs, Palette
from tui.screens.dialog import Dialog
from tui.state.run_state import RunState
from tui.widgets.dialog_box import DialogBox

LEAST_EXPLANATION = 3
"""The fewest lines in which the explanation scrolls."""


@dataclass(frozen=True)
class Choice:
    """One answer of a dialog."""

    keys: tuple[str, ...]
    """The keys that choose it, as Textual names them; the first is shown."""
    text: str
    """The text shown next to the key."""
    value: str
    """The value that the dialog returns."""


class ChoiceDialog(Dialog[str | None]):
    """A dialog that returns the value of the chosen answer, or None for Escape."""

    def __init__(
        self,
        title: str,
        sentence: str,
        answers: Sequence[Choice],
        appearance: tuple[Palette, Glyphs],
        cursor: int = 0,
    ) -> None:
        """
        Args:
            title: The title of the dialog's frame.
            sentence: The question or explanation above the answers.
            answers: The answers, from top to bottom.
            appearance: Colours and characters.
            cursor: The index of the answer that is selected at first.
        """
        super().__init__()
        self.question_title = title
        text = appearance[1].text
        self.sentence = text(sentence)
        self.answers = [replace(answer, text=text(answer.text)) for answer in answers]
        self.appearance = appearance
        self.cursor = cursor
        self.scrolled = 0
        """The number of lines of the explanation that are scrolled away at its top."""
        self._rows: dict[int, int] = {}
        """The index of the answer on each line of the box."""

    def compose(self) -> ComposeResult:
        yield DialogBox(self.question_title)

    def on_mount(self) -> None:
        box = self.query_one(DialogBox)
        box.state = RunState()
        box.set_theme(*self.appearance)
        self._layout_box()

    def on_resize(self) -> None:
        self._layout_box()

    def _layout_box(self) -> None:
        box = self.query_one(DialogBox)
        width, height = min(76, self.app.size.width - 2), self.app.size.height - 2
        explanation = wrapped(self.sentence, width - 4)
        rows = [row for n in range(len(self.answers)) for row in self._answer_rows(n, width - 4)]
        # The explanation scrolls if there is no room for it above the answers.
        room = max(LEAST_EXPLANATION, height - len(rows) - 1)
        hidden = max(0, len(explanation) - room)
        self.scrolled = max(0, min(self.scrolled, hidden))
        content: list[Line] = [
            line(text) for text in explanation[self.scrolled : self.scrolled + room]
        ]
        if hidden:
            keys = "PgUp PgDn" if self.scrolled else "PgDn"
            content.append(line((f"{keys}: {hidden} more line{'s' * (hidden > 1)}", "dim")))
        elif content:
            content.append(())
        first = next(n for n, (index, _) in enumerate(rows) if index == self.cursor)
        end = max(n for n, (index, _) in enumerate(rows) if index == self.cursor) + 1
        rows = rows[max(0, min(first, end - max(1, height - len(content)))) :]
        self._rows = {len(content) + n: index for n, (index, _) in enumerate(rows)}
        content += [pieces for _, pieces in rows]
        box.styles.width, box.styles.height = width, min(len(content), height) + 2
        box.fill(content)

    def _answer_rows(self, index: int, width: int) -> list[tuple[int, Line]]:
        """Return the lines of an answer, each with the answer's index."""
        answer = self.answers[index]
        mark = f"{self.appearance[1].cursor} " if index == self.cursor else "  "
        indent = len(mark) + len(answer.keys[0]) + 1
        room = width - indent
        # Only a line that is too long is wrapped, because the blanks of others align columns.
        texts = [answer.text] if cell_len(answer.text) <= room else wrapped(answer.text, room)
        first: Line = line(mark, (answer.keys[0], "chosen"), f" {texts[0]}")
        return [(index, first), *((index, line(" " * indent + text)) for text in texts[1:])]

    def on_key(self, event: events.Key) -> None:
        event.stop()
        answer = next((a for a in self.answers if event.key in a.keys), None)
        if answer:
            self.dismiss(answer.value)
        elif event.key == "escape":
            self.dismiss(None)
        elif event.key == "enter":
            self.dismiss(self.answers[self.cursor].value)
        elif event.key in ("up", "k", "down", "j"):
            step = -1 if event.key in ("up", "k") else 1
            self.cursor = (self.cursor + step) % len(self.answers)
            self._layout_box()
        elif event.key in ("pageup", "pagedown"):
            self.scrolled += -5 if event.key == "pageup" else 5
            self._layout_box()

    def on_click(self, event: events.Click) -> None:
        box = self.query_one(DialogBox)
        index = self._rows.get(event.screen_y - box.region.y - 1)
        if index is not None and box.region.contains(event.screen_x, event.screen_y):
            self.dismiss(self.answers[index].value)

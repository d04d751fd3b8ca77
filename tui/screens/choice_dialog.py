"""A question with a few answers, chosen by key, by cursor or by mouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult

from tui.drawing.lines import Line, line, wrapped
from tui.drawing.theme import Glyphs, Palette
from tui.screens.dialog import Dialog
from tui.state.run_state import RunState
from tui.widgets.dialog_box import DialogBox


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
        self.sentence = sentence
        self.answers = list(answers)
        self.appearance = appearance
        self.cursor = cursor

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
        width = min(76, self.app.size.width - 2)
        content: list[Line] = [line(text) for text in wrapped(self.sentence, width - 4, 12)]
        if content:
            content.append(())
        for index, answer in enumerate(self.answers):
            mark = "▸ " if index == self.cursor else "  "
            content.append(line(mark, (answer.keys[0], "chosen"), f" {answer.text}"))
        box.styles.width, box.styles.height = width, min(len(content) + 2, self.app.size.height)
        box.fill(content)

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

    def on_click(self, event: events.Click) -> None:
        box = self.query_one(DialogBox)
        first = box.region.y + box.region.height - 1 - len(self.answers)
        index = event.screen_y - first
        if 0 <= index < len(self.answers):
            self.dismiss(self.answers[index].value)

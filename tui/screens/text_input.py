"""A dialog in which the user types one line of text."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from tui.drawing.theme import Glyphs, Palette
from tui.screens.dialog import Dialog


class TextInput(Dialog[str | None]):
    """A dialog that returns a line that passed a check, or None for Escape."""

    DEFAULT_CSS = """
    TextInput { align: left bottom; }
    TextInput Vertical { height: auto; background: $background; color: $foreground; }
    TextInput Horizontal { height: 1; }
    TextInput Static { width: auto; }
    TextInput #ask-sentence { width: 100%; padding: 0 1; }
    TextInput #ask-label { text-style: reverse; }
    TextInput Input { width: 1fr; background: $background; color: $foreground; }
    """
    BINDINGS = [Binding("escape", "back", show=False)]

    def __init__(
        self,
        label: str,
        sentence: str,
        value: str,
        check: Callable[[str], str],
        appearance: tuple[Palette, Glyphs],
    ) -> None:
        """
        Args:
            label: The label before the line, such as `file`.
            sentence: The question above the line.
            value: The initial text.
            check: Returns what is wrong with an answer; empty if it is valid.
            appearance: Colours and characters.
        """
        super().__init__()
        self.label, self.value, self.check = label, value, check
        self.glyphs = appearance[1]
        self.sentence = self.glyphs.text(sentence)

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self.sentence, id="ask-sentence", markup=False)
            with Horizontal():
                yield Static(f" {self.label} ", id="ask-label", markup=False)
                yield Input(self.value, compact=True, select_on_focus=False)

    def on_input_changed(self) -> None:
        self._show_sentence(self.sentence)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        error = self.check(event.value.strip())
        if error:
            self._show_sentence(self.glyphs.text(error))
        else:
            self.dismiss(event.value.strip())

    def _show_sentence(self, sentence: str) -> None:
        self.query_one("#ask-sentence", Static).update(sentence)

    def action_back(self) -> None:
        self.dismiss(None)

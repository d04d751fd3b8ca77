"""The search field that finds a layer by part of its name, while the user types."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.widgets import Input, Static

from tui.screens.dialog import Dialog


class FindLayer(Dialog[bool]):
    """A search field at the bottom of the screen; Enter and Escape close it."""

    BINDINGS = [Binding("escape", "back", show=False)]

    def __init__(self, search: Callable[[str], bool]) -> None:
        """
        Args:
            search: Moves the cursor to a layer whose name contains the text; returns False if there
                is none.
        """
        super().__init__()
        self.search = search

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(" find ", id="find-label")
            yield Input(placeholder="part of a layer's name", compact=True)
            yield Static("", id="find-answer")

    def on_input_changed(self, event: Input.Changed) -> None:
        matched = not event.value or self.search(event.value)
        self.query_one("#find-answer", Static).update("" if matched else "no such layer ")

    def on_input_submitted(self) -> None:
        self.dismiss(True)

    def action_back(self) -> None:
        self.dismiss(False)

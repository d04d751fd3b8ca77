"""Finding a layer by a part of its name, as it is typed."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.widgets import Input, Static

from tui.screens.dialog import Dialog


class FindLayer(Dialog[bool]):
    """Dismissed with True to stay where the search came to, False to go back."""

    BINDINGS = [Binding("escape", "back", show=False)]

    def __init__(self, search: Callable[[str], bool]) -> None:
        """
        Args:
            search: Moves the cursor to a layer with this in its name; False if there is none.
        """
        super().__init__()
        self.search = search

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(" find ", id="find-label")
            yield Input(placeholder="part of a layer's name", compact=True)
            yield Static("", id="find-answer")

    def on_input_changed(self, event: Input.Changed) -> None:
        found = not event.value or self.search(event.value)
        self.query_one("#find-answer", Static).update("" if found else "no such layer ")

    def on_input_submitted(self) -> None:
        self.dismiss(True)

    def action_back(self) -> None:
        self.dismiss(False)

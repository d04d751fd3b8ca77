"""A trivial Textual app (a header, a list of sixty lines, a footer), for the minimal cost.

python -m benchmarks.harness.trivial_app
"""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Footer, Header, Label, ListItem, ListView


class TrivialApp(App[None]):
    BINDINGS = [("q", "quit", "Leave")]

    def compose(self) -> ComposeResult:
        yield Header()
        yield ListView(*(ListItem(Label(f"line {number}")) for number in range(60)))
        yield Footer()


if __name__ == "__main__":
    TrivialApp().run()

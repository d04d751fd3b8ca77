"""What the sections of the results screen share: the evaluation, and how its classes are called."""

from __future__ import annotations

from tl_tui.protocol.results import ResultsShown
from tui.drawing.theme import Glyphs
from tui.screens.full_screen import Body, named
from tui.state.run_state import RunState


class Section:
    """A part of the results."""

    title = ""

    results: ResultsShown
    state: RunState
    glyphs: Glyphs

    def take(self, results: ResultsShown, state: RunState, glyphs: Glyphs) -> None:
        """Show these results from now on."""
        self.results, self.state, self.glyphs = results, state, glyphs
        self.prepare()

    def prepare(self) -> None:
        """Work out once what every drawing of the same results needs."""

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """(key, word) of its own."""
        return ()

    def body(self, width: int, height: int) -> Body:
        """Its lines for so many cells."""
        raise NotImplementedError

    def pressed(self, key: str) -> bool:
        """Answer a key of its own, as Textual names it."""
        return False

    def name(self, index: int) -> str:
        """A class's name as it can be shown."""
        return named(self.state, index, self.glyphs)

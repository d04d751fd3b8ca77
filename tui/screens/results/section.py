"""The base class of the sections of the results screen."""

from __future__ import annotations

from tl_tui.protocol.results import ResultsShown
from tui.drawing.theme import Glyphs
from tui.screens.full_screen import Body, class_name
from tui.state.run_state import RunState


class Section:
    """One section of the results screen, which shows an evaluation."""

    title = ""
    """The name of the section in the row of tabs."""

    results: ResultsShown
    state: RunState
    glyphs: Glyphs

    def set_results(self, results: ResultsShown, state: RunState, glyphs: Glyphs) -> None:
        """Show other results."""
        self.results, self.state, self.glyphs = results, state, glyphs
        self.prepare()

    def prepare(self) -> None:
        """Compute what every drawing of the same results needs."""

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """Pairs of a key of this section and its description."""
        return ()

    def body(self, width: int, height: int) -> Body:
        """Return the section's lines for `width` by `height` cells."""
        raise NotImplementedError

    def pressed(self, key: str) -> bool:
        """Handle a key, as Textual names it, and return whether it was handled."""
        return False

    def name(self, index: int) -> str:
        """Return the name of a class, with only characters that this terminal can show."""
        return class_name(self.state, index, self.glyphs)

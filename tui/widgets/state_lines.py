"""The base class of widgets that draw lines made from the state."""

from __future__ import annotations

from tui.drawing.line_widget import LineWidget
from tui.drawing.lines import Line
from tui.drawing.styles import PaletteStyles
from tui.drawing.theme import PALETTES, UNICODE, Glyphs, Palette
from tui.state.run_state import RunState


class StateLines(LineWidget):
    """A widget that draws the lines that `lines` returns for the state."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.state: RunState | None = None
        self.palette: Palette = PALETTES["terminal"]
        self.glyphs: Glyphs = UNICODE

    def lines(self, state: RunState) -> list[Line]:
        """Return the lines for `self.size`; missing lines and cells are blank."""
        raise NotImplementedError

    def set_theme(self, palette: Palette, glyphs: Glyphs) -> None:
        """Change the colours and characters."""
        self.palette, self.glyphs = palette, glyphs
        self.redraw()
        self.set_palette_styles(PaletteStyles(palette))

    def show(self, state: RunState) -> None:
        """Show a state."""
        self.state = state
        self.redraw()

    def on_resize(self) -> None:
        self.redraw()

    def redraw(self) -> None:
        """Compute the lines again and repaint the cells that changed."""
        if self.state is None or not self.size:
            return
        text = self.glyphs.text
        self.set_lines(
            [
                tuple((text(piece), style) for piece, style in pieces if piece)
                for pieces in self.lines(self.state)[: self.size.height]
            ]
        )

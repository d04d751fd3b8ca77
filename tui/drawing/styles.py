"""The rich styles for style names, in the colours of a palette or in monochrome."""

from __future__ import annotations

from rich.style import Style

from tui.drawing.theme import Palette

_MONOCHROME = {
    "strong": Style(bold=True),
    "trainable_name": Style(bold=True),
    "dim": Style(dim=True),
    "unreached": Style(dim=True),
    "alarm": Style(bold=True, reverse=True),
    "chosen": Style(reverse=True),
}
_PLAIN = Style()


class PaletteStyles:
    """The styles of one palette by name (see `lines.Piece`)."""

    def __init__(self, palette: Palette, monochrome: bool = False) -> None:
        self.palette = palette
        self.monochrome = monochrome
        self._mixed: dict[str, Style] = {}

    def style(self, what: str) -> Style:
        """Return the style for a name, such as `gradient` or `frozen_name+dim`."""
        style = self._mixed.get(what)
        if style is None:
            style = _PLAIN
            for name in what.split("+"):
                style += self._palette_style(name)
            if style.dim and style.bold:
                # Terminals disagree on bold and dim together; dim is the more important one.
                style += Style(bold=False)
            self._mixed[what] = style
        return style

    def _palette_style(self, name: str) -> Style:
        if self.monochrome:
            return _MONOCHROME.get(name, _PLAIN)
        return self.palette.style(name)

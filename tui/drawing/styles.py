"""Style names turned into the styles of one palette, or into weights alone in monochrome."""

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
    """The styles of a palette by name (see `lines.Piece`)."""

    def __init__(self, palette: Palette, monochrome: bool = False) -> None:
        self.palette = palette
        self.monochrome = monochrome
        self._mixed: dict[str, Style] = {}

    def style(self, what: str) -> Style:
        """The style of a name, such as `gradient` or `frozen_name+dim`."""
        style = self._mixed.get(what)
        if style is None:
            style = _PLAIN
            for name in what.split("+"):
                style += self._one(name)
            if style.dim and style.bold:
                # Terminals disagree on both at once; dim says more: nothing came here.
                style += Style(bold=False)
            self._mixed[what] = style
        return style

    def _one(self, name: str) -> Style:
        if self.monochrome:
            return _MONOCHROME.get(name, _PLAIN)
        return self.palette.style(name)

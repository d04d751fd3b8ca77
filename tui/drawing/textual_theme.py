"""Palettes as Textual themes, and a filter that removes redundant colours from its output."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import BUILTIN_THEMES, Theme

from tui.drawing.ascii_cells import ascii_cells
from tui.drawing.theme import Palette


def textual_theme(palette: Palette) -> Theme:
    """Return a Textual theme of the same name, for Textual's own widgets and for backgrounds."""
    if palette.background is None:
        # Keep the terminal's colours and background.
        own = {
            "block-cursor-foreground": "ansi_default",
            "block-cursor-background": "ansi_default",
            "block-cursor-text-style": "reverse",
        }
        ansi = BUILTIN_THEMES["ansi-dark"]
        return replace(ansi, name=palette.name, variables={**ansi.variables, **own})
    return Theme(
        name=palette.name,
        primary=palette.text,
        foreground=palette.text,
        background=palette.background,
        surface=palette.background,
        panel=palette.background,
        dark=Color.parse(palette.background).brightness < 0.5,
    )


class LeanColours(LineFilter):
    """Removes the terminal's default colours, or all colours in monochrome."""

    def __init__(self, *, monochrome: bool) -> None:
        super().__init__()
        self.monochrome = monochrome

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        lean = _colourless if self.monochrome else _without_defaults
        return [Segment(text, style and lean(style), control) for text, style, control in segments]


class AsciiOnly(LineFilter):
    """Replaces every other character by ASCII of the same width, also in Textual's own widgets."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(ascii_cells(text), style, control) for text, style, control in segments]


@lru_cache(2048)
def _colourless(style: Style) -> Style:
    return style.without_color


@lru_cache(2048)
def _without_defaults(style: Style) -> Style:
    color, bgcolor = style.color, style.bgcolor
    if not (color and color.is_default or bgcolor and bgcolor.is_default):
        return style
    return style.without_color + Style.from_color(
        None if color is None or color.is_default else color,
        None if bgcolor is None or bgcolor.is_default else bgcolor,
    )

"""How to draw the screen: the terminal, the animation and the theme."""

from __future__ import annotations

from dataclasses import dataclass

from tui.drawing.terminal import TerminalInfo


@dataclass(frozen=True)
class ScreenOptions:
    """How to draw the screen."""

    terminal: TerminalInfo
    animation: bool = True
    """Whether to animate backward passes; otherwise their whole path appears at once."""
    theme: str | None = None
    """The name of the palette; None is the last one used."""

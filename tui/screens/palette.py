"""The command palette: Textual's own, closed once whatever is typed ahead."""

from __future__ import annotations

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette


class Palette(CommandPalette):
    """A second Enter behind the one that chose finds it closing, and is let go."""

    _closed = False

    def dismiss(self, result: None = None) -> AwaitComplete:
        if self._closed or not self.is_current:
            return AwaitComplete()
        self._closed = True
        return super().dismiss(result)

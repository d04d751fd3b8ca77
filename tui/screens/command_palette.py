"""The command palette: Textual's own, closed once whatever is typed ahead."""

from __future__ import annotations

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette


class Commands(CommandPalette):
    """A second Enter behind the one that chose finds it closing, and is let go."""

    _dismissed = False  # `_closed` is Textual's own word, for a widget that hears no more messages

    def dismiss(self, result: None = None) -> AwaitComplete:
        if self._dismissed or not self.is_current:
            return AwaitComplete()
        self._dismissed = True
        return super().dismiss(result)

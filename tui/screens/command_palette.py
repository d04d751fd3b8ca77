"""Textual's command palette, made safe against keys typed after the choice."""

from __future__ import annotations

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette


class Commands(CommandPalette):
    """The command palette; ignores a second Enter that arrives while it closes."""

    _dismissed = False  # not `_closed`, which Textual uses for widgets that take no more messages

    def dismiss(self, result: None = None) -> AwaitComplete:
        if self._dismissed or not self.is_current:
            return AwaitComplete()
        self._dismissed = True
        return super().dismiss(result)

"""The base class of dialogs and full screens."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen

Result = TypeVar("Result")


class Dialog(ModalScreen[Result]):
    """A screen over the main one that accepts one answer.

    On a slow connection, keys typed after the answer can arrive in the same chunk. They reach the
    closing dialog, which ignores them, so that they do not close the screen below it.
    """

    _answered = False

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        if self._answered:
            return AwaitComplete.nothing()
        self._answered = True
        return super().dismiss(result)

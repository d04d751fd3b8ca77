"""What the user wants: the mask at once, whatever the engine is at, and how to take it back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

Mask = frozenset[int]
"""The trainable owners."""


@dataclass(frozen=True)
class MaskChange:
    """An entry of the undo list."""

    before: Mask
    after: Mask
    what: str
    """In words, such as `thaw layer3.0` or `2 last stage`."""


@dataclass(frozen=True)
class StartOverEntry:
    """An entry of the undo list that the engine has to take back."""


@dataclass(frozen=True)
class RestoreEntry:
    """A layer was returned to its first weights; the engine has to take it back."""

    what: str


MOST_UNDO = 1000
"""Older wishes cannot be taken back: a mask of a large model takes kilobytes."""
UndoEntry = MaskChange | StartOverEntry | RestoreEntry


class MaskHistory:
    """The wanted mask, what of it the engine has confirmed, and the undo list."""

    def __init__(self) -> None:
        self.wanted: Mask = frozenset()
        self.confirmed: Mask = frozenset()
        """The last mask that the engine has taken."""
        self.unanswered: dict[int, Mask] = {}
        """Masks that were sent, by command, and not yet answered."""
        self.undo_list: list[UndoEntry] = []
        self.redo_list: list[MaskChange] = []
        self._ids = itertools.count(1)

    def next_id(self) -> int:
        """An id for the next command."""
        return next(self._ids)

    def change_mask(self, mask: Mask, what: str) -> bool:
        """Want another mask; it can be undone. False if it is the wanted one already."""
        if mask == self.wanted:
            return False
        self.undo_list.append(MaskChange(self.wanted, mask, what))
        del self.undo_list[:-MOST_UNDO]
        self.redo_list.clear()
        self.wanted, self.planned_why = mask, ""
        return True

    def sent_mask(self, command_id: int) -> None:
        """The wanted mask went to the engine under this id."""
        self.unanswered[command_id] = self.wanted

    def undo(self) -> UndoEntry | None:
        """Take the last wish back. A start over is only named: the engine has to undo it."""
        if not self.undo_list:
            return None
        entry = self.undo_list.pop()
        if isinstance(entry, MaskChange):
            self.wanted, self.planned_why = entry.before, ""
            self.redo_list.append(entry)
        return entry

    def redo(self) -> MaskChange | None:
        """Wish again what was undone last."""
        if not self.redo_list:
            return None
        entry = self.redo_list.pop()
        self.wanted, self.planned_why = entry.after, ""
        self.undo_list.append(entry)
        return entry

"""The wanted mask, which is independent of the engine's progress, with undo and redo."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

Mask = frozenset[int]
"""The indices of the trainable owners."""


@dataclass(frozen=True)
class MaskChange:
    """An entry of the undo list: the mask was changed."""

    before: Mask
    after: Mask
    what: str
    """A short description, such as `thaw layer3.0` or `2 last stage`."""


@dataclass(frozen=True)
class StartOverEntry:
    """An entry of the undo list: training was started over. Only the engine can undo it."""


@dataclass(frozen=True)
class RestoreEntry:
    """An entry of the undo list: a layer was reset to its first weights. Only the engine can
    undo it."""

    what: str


MOST_UNDO = 1000
"""The number of undo entries that are kept: a mask of a large model takes kilobytes."""
UndoEntry = MaskChange | StartOverEntry | RestoreEntry


class MaskHistory:
    """The wanted mask, the mask that the engine has confirmed, and the undo and redo lists."""

    def __init__(self) -> None:
        self.wanted: Mask = frozenset()
        self.planned_why = ""
        """Why the engine chose the wanted mask (a plan); empty if the user chose it."""
        self.chosen_by: Literal["you", "engine", "another screen", "unknown"] = "you"
        """Who changed the wanted mask last, as far as this screen was there."""
        self.confirmed: Mask = frozenset()
        """The last mask that the engine has confirmed."""
        self.unanswered: dict[int, Mask] = {}
        """The masks that were sent and not yet answered, by command id."""
        self.undo_list: list[UndoEntry] = []
        self.redo_list: list[MaskChange] = []
        self._ids = itertools.count(1)

    def next_id(self) -> int:
        """Return an id for the next command."""
        return next(self._ids)

    def change_mask(self, mask: Mask, what: str) -> bool:
        """Set the wanted mask, so that it can be undone.

        Returns:
            False if it is the wanted mask already.
        """
        if mask == self.wanted:
            return False
        self.undo_list.append(MaskChange(self.wanted, mask, what))
        del self.undo_list[:-MOST_UNDO]
        self.redo_list.clear()
        self.wanted, self.planned_why, self.chosen_by = mask, "", "you"
        return True

    def sent_mask(self, command_id: int) -> None:
        """Note that the wanted mask was sent to the engine under this id."""
        self.unanswered[command_id] = self.wanted

    def undo(self) -> UndoEntry | None:
        """Remove the last undo entry and return it; None if there is none.

        A mask change is undone here; for the other entries the caller has to ask the engine.
        """
        if not self.undo_list:
            return None
        entry = self.undo_list.pop()
        if isinstance(entry, MaskChange):
            self.wanted, self.planned_why, self.chosen_by = entry.before, "", "you"
            self.redo_list.append(entry)
        return entry

    def redo(self) -> MaskChange | None:
        """Redo the mask change that was undone last; None if there is none."""
        if not self.redo_list:
            return None
        entry = self.redo_list.pop()
        self.wanted, self.planned_why, self.chosen_by = entry.after, "", "you"
        self.undo_list.append(entry)
        return entry

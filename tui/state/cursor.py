"""The cursor in the layer stack, and which rows and stages are expanded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tl_tui.protocol.layers import StackInfo
from tui.state.memo import Memo
from tui.state.run_state import RunState


@dataclass(frozen=True)
class Target:
    """A possible position of the cursor."""

    kind: Literal["row", "owner", "stage"]
    """A row, an owner within an expanded row, or a collapsed stage."""
    index: int
    """Its index among the stack's rows, owners or stages."""


def target_owners(state: RunState, target: Target) -> range:
    """Return the parameter owners that belong to a target. There must be a stack."""
    if target.kind == "row":
        return state.row_owners(target.index)
    if target.kind == "stage":
        return state.stage_owners(target.index)
    return range(target.index, target.index + 1)


def target_name(stack: StackInfo, target: Target) -> str:
    """Return a target's module path, such as `layer1.0.conv1`."""
    if target.kind == "row":
        return stack.rows[target.index].name
    if target.kind == "stage":
        return stack.stages[target.index].name
    return stack.owners[target.index].name


class StackCursor:
    """The cursor, the expanded rows, the collapsed stages and the visible window."""

    def __init__(self) -> None:
        self.cursor = Target("row", 0)
        self.expanded: set[int] = set()
        self.collapsed: set[int] = set()
        self.offset = 0
        """The first visible line of the stack; set by the widget that draws."""
        self.window = 1
        """The number of visible lines of the stack; set by the widget that draws."""
        self.rates = False
        """Whether rates are shown instead of roles where there is no room for both."""
        self.follows = True
        """Whether the window follows the cursor; False after the mouse wheel moved it."""
        self._stack: StackInfo | None = None
        self._targets: Memo[list[Target]] = Memo()

    @property
    def folds(self) -> tuple[frozenset[int], frozenset[int]]:
        """The expanded rows and the collapsed stages."""
        return frozenset(self.expanded), frozenset(self.collapsed)

    def take(self, stack: StackInfo | None) -> None:
        """Use this stack. If its layers differ from the last stack's, everything is folded and
        the cursor stays on the layer of the same name if there is one."""
        before, self._stack = self._stack, stack
        if stack is None or stack is before:
            return
        name = target_name(before, self.cursor) if before else None
        self.offset, self.follows = 0, True
        if before is not None and _names(before) == _names(stack):
            return
        self.expanded.clear()
        self.collapsed.clear()
        rows = [row.name for row in stack.rows]
        self.cursor = Target("row", rows.index(name) if name in rows else len(rows) - 1)

    def targets(self) -> list[Target]:
        """Return all positions of the cursor, from the loss down to the images."""
        stack = self._stack
        if stack is None:
            return []
        return self._targets.get(stack, self.folds, lambda: self._targets_of(stack))

    def _targets_of(self, stack: StackInfo) -> list[Target]:
        targets: list[Target] = []
        for number in range(len(stack.stages) - 1, -1, -1):
            if number in self.collapsed:
                targets.append(Target("stage", number))
                continue
            stage = stack.stages[number]
            for row in range(stage.end_row - 1, stage.first_row - 1, -1):
                targets.append(Target("row", row))
                if row in self.expanded:
                    info = stack.rows[row]
                    owners = range(info.end_owner - 1, info.first_owner - 1, -1)
                    targets += [Target("owner", owner) for owner in owners]
        return targets

    def foldable(self, target: Target) -> bool:
        """Return whether a target can be expanded: a stage, or a row with several owners."""
        if target.kind == "row" and self._stack is not None:
            info = self._stack.rows[target.index]
            return info.end_owner - info.first_owner > 1
        return target.kind == "stage"

    # --- moving ---------------------------------------------------------------------------------

    def set_cursor(self, target: Target) -> bool:
        """Move the cursor to a target if it is visible. Return whether the cursor moved."""
        self.follows = True
        if target == self.cursor or target not in self.targets():
            return False
        self.cursor = target
        return True

    def move(self, n: int) -> bool:
        """Move n lines down (towards the images), or up if negative. Return whether the cursor
        moved."""
        targets = self.targets()
        if not targets:
            return False
        index = targets.index(self.cursor) + n
        return self.set_cursor(targets[max(0, min(index, len(targets) - 1))])

    def home(self) -> bool:
        """Move to the layer closest to the loss."""
        return self.move(-len(self.targets()))

    def end(self) -> bool:
        """Move to the layer closest to the images."""
        return self.move(len(self.targets()))

    def page(self, n: int) -> bool:
        """Move n windows down, or up if negative."""
        return self.move(n * max(1, self.window - 1))

    def scroll(self, n: int) -> None:
        """Scroll the window n lines down without moving the cursor."""
        self.offset += n
        self.follows = False

    # --- folding --------------------------------------------------------------------------------

    def collapse(self) -> bool:
        """Do what the left arrow does: go from a part to its row, fold an expanded row, then fold
        its stage. Return whether anything changed."""
        if self._stack is None:
            return False
        self.follows = True
        if self.cursor.kind == "owner":
            return self.set_cursor(Target("row", self._stack.owners[self.cursor.index].row))
        if self.cursor.kind == "stage":
            return False
        if self.cursor.index in self.expanded:
            self.expanded.discard(self.cursor.index)
            return True
        return self.collapse_stage(self._stack.rows[self.cursor.index].stage)

    def collapse_stage(self, stage: int) -> bool:
        """Fold a stage into one line. Return False if it has only one row or is folded already."""
        if self._stack is None or stage in self.collapsed:
            return False
        info = self._stack.stages[stage]
        if info.end_row - info.first_row < 2:
            return False
        within = self.cursor.index
        if self.cursor.kind == "owner":
            within = self._stack.owners[within].row
        self.collapsed.add(stage)
        if self.cursor.kind != "stage" and info.first_row <= within < info.end_row:
            self.cursor = Target("stage", stage)
        return True

    def expand(self) -> bool:
        """Do what the right arrow does: expand a stage, expand a row, then move to its first part.
        Return whether anything changed."""
        if self._stack is None:
            return False
        self.follows = True
        if self.cursor.kind == "stage":
            stage = self.cursor.index
            self.collapsed.discard(stage)
            self.cursor = Target("row", self._stack.stages[stage].end_row - 1)
            return True
        if self.cursor.kind == "owner" or not self.foldable(self.cursor):
            return False
        if self.cursor.index in self.expanded:
            return self.move(1)
        self.expanded.add(self.cursor.index)
        return True

    def toggle_fold(self) -> bool:
        """Do what Enter does: expand or fold the target; on a part, fold its row."""
        if self.cursor.kind == "owner":
            self.collapse()
            return self.collapse()
        if self.cursor.kind == "row" and self.cursor.index in self.expanded:
            return self.collapse()
        return self.expand()

    # --- finding --------------------------------------------------------------------------------

    def find(self, text: str) -> bool:
        """Move to the layer that matches a text best, and expand the stage or row that hides it.

        Exact names rank before partial matches, and rows before their parts. Among equal matches
        the first one at or below the cursor is taken.

        Returns:
            False if nothing matches; the cursor does not move then.
        """
        wanted = text.strip().lower()
        if self._stack is None or not wanted:
            return False
        ranked: list[tuple[int, Target]] = []
        for index, row in enumerate(self._stack.rows):
            name = row.name.lower()
            ranks = [name == wanted, name.startswith(wanted), wanted in name]
            kind_and_role = f"{row.kind} {row.role}".lower()
            rank = ranks.index(True) if any(ranks) else 5 if wanted in kind_and_role else None
            if rank is not None:
                ranked.append((rank, Target("row", index)))
        for index, owner in enumerate(self._stack.owners):
            name = owner.name.lower()
            rank = 0 if name == wanted else 3 if wanted in name else None
            if rank is not None:
                ranked.append((rank, Target("owner", index)))
        for stage in self._stack.stages:
            if stage.name.lower() == wanted:
                ranked.append((0, Target("row", stage.end_row - 1)))
        if not ranked:
            return False
        best = min(rank for rank, _ in ranked)
        matching = [target for rank, target in ranked if rank == best]
        current = self._sort_key(self.cursor)
        below = [target for target in matching if self._sort_key(target) >= current]
        self._reveal(min(below or matching, key=self._sort_key))
        return True

    def _sort_key(self, target: Target) -> tuple[int, int]:
        """Return a key that sorts targets from the loss down, whatever is folded."""
        assert self._stack is not None
        if target.kind == "owner":
            return (-self._stack.owners[target.index].row, -target.index)
        row = target.index
        if target.kind == "stage":
            row = self._stack.stages[row].end_row - 1
        return (-row, -len(self._stack.owners))

    def _reveal(self, target: Target) -> None:
        """Move to a target and expand what hides it."""
        assert self._stack is not None
        row = target.index
        if target.kind == "owner":
            row = self._stack.owners[target.index].row
            if self._stack.rows[row].end_owner - self._stack.rows[row].first_owner == 1:
                target = Target("row", row)
            else:
                self.expanded.add(row)
        self.collapsed.discard(self._stack.rows[row].stage)
        self.follows = True
        self.cursor = target


def _names(stack: StackInfo) -> list[str]:
    return [owner.name for owner in stack.owners]

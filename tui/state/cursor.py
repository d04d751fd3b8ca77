"""Where the cursor stands in the stack, and what is unfolded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tl_tui.protocol.layers import StackInfo
from tui.state.memo import Memo
from tui.state.run_state import RunState


@dataclass(frozen=True)
class Target:
    """What the cursor can stand on: a row, an owner within an expanded row, a collapsed stage."""

    kind: Literal["row", "owner", "stage"]
    index: int


def target_owners(state: RunState, target: Target) -> range:
    """The parameter owners that a target stands for. There must be a stack."""
    if target.kind == "row":
        return state.row_owners(target.index)
    if target.kind == "stage":
        return state.stage_owners(target.index)
    return range(target.index, target.index + 1)


def target_name(stack: StackInfo, target: Target) -> str:
    """Its module path, such as `layer1.0.conv1`."""
    if target.kind == "row":
        return stack.rows[target.index].name
    if target.kind == "stage":
        return stack.stages[target.index].name
    return stack.owners[target.index].name


class StackCursor:
    """The cursor, the expanded rows and the collapsed stages, and which window is drawn."""

    def __init__(self) -> None:
        self.cursor = Target("row", 0)
        self.expanded: set[int] = set()
        self.collapsed: set[int] = set()
        self.offset = 0
        """The first line of the stack in the window; kept by whoever draws."""
        self.window = 1
        """How many lines of the stack the window holds; kept by whoever draws."""
        self.rates = False
        """Where there is no room for both, the rates stand in the roles' place."""
        self.follows = True
        """The window goes with the cursor; not while the mouse wheel moves it."""
        self._stack: StackInfo | None = None
        self._targets: Memo[list[Target]] = Memo()

    @property
    def folds(self) -> tuple[frozenset[int], frozenset[int]]:
        """The expanded rows and the collapsed stages, as they are now."""
        return frozenset(self.expanded), frozenset(self.collapsed)

    def take(self, stack: StackInfo | None) -> None:
        """Stand in this stack; in another one than before the cursor keeps its layer if it can."""
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
        """Everything the cursor can stand on, from the loss down to the images."""
        stack = self._stack
        if stack is None:
            return []
        return self._targets.get(stack, self.folds, lambda: self._targets_of(stack))

    def _targets_of(self, stack: StackInfo) -> list[Target]:
        found: list[Target] = []
        for number in range(len(stack.stages) - 1, -1, -1):
            if number in self.collapsed:
                found.append(Target("stage", number))
                continue
            stage = stack.stages[number]
            for row in range(stage.end_row - 1, stage.first_row - 1, -1):
                found.append(Target("row", row))
                if row in self.expanded:
                    info = stack.rows[row]
                    owners = range(info.end_owner - 1, info.first_owner - 1, -1)
                    found += [Target("owner", owner) for owner in owners]
        return found

    def foldable(self, target: Target) -> bool:
        """It has parts to show: a collapsed stage, or a row of more than one owner."""
        if target.kind == "row" and self._stack is not None:
            info = self._stack.rows[target.index]
            return info.end_owner - info.first_owner > 1
        return target.kind == "stage"

    # --- moving ---------------------------------------------------------------------------------

    def set_cursor(self, target: Target) -> bool:
        """Stand on a target that can be stood on. False if nothing changed."""
        self.follows = True
        if target == self.cursor or target not in self.targets():
            return False
        self.cursor = target
        return True

    def move(self, n: int) -> bool:
        """Go n lines down (towards the images), or up if negative. False at the end."""
        targets = self.targets()
        if not targets:
            return False
        here = targets.index(self.cursor)
        return self.set_cursor(targets[max(0, min(here + n, len(targets) - 1))])

    def home(self) -> bool:
        """Go to the loss."""
        return self.move(-len(self.targets()))

    def end(self) -> bool:
        """Go to the images."""
        return self.move(len(self.targets()))

    def page(self, n: int) -> bool:
        """Go n windows down, or up if negative."""
        return self.move(n * max(1, self.window - 1))

    def scroll(self, n: int) -> None:
        """Move the window n lines down and leave the cursor where it is."""
        self.offset += n
        self.follows = False

    # --- folding --------------------------------------------------------------------------------

    def collapse(self) -> bool:
        """Left: from a part to its row, from an expanded row to a folded one, then to its stage."""
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
        """Fold a stage into one line. False if it has but one row."""
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
        """Right: from a collapsed stage to its rows, from a row to its parts, then into them."""
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
        """Enter: unfold what is folded, fold what is not; a part folds its row."""
        if self.cursor.kind == "owner":
            self.collapse()
            return self.collapse()
        if self.cursor.kind == "row" and self.cursor.index in self.expanded:
            return self.collapse()
        return self.expand()

    # --- finding --------------------------------------------------------------------------------

    def find(self, text: str) -> bool:
        """Go to the layer that a text names best, unfolding what hides it.

        An exact name comes before a part of one, a row before its parts; among equals the first at
        or below the cursor.

        Returns:
            False if nothing fits; the cursor stays.
        """
        wanted = text.strip().lower()
        if self._stack is None or not wanted:
            return False
        ranked: list[tuple[int, Target]] = []
        for index, row in enumerate(self._stack.rows):
            name = row.name.lower()
            ranks = [name == wanted, name.startswith(wanted), wanted in name]
            words = f"{row.kind} {row.role}".lower()
            rank = ranks.index(True) if any(ranks) else 5 if wanted in words else None
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
        fitting = [target for rank, target in ranked if rank == best]
        here = self._place(self.cursor)
        below = [target for target in fitting if self._place(target) >= here]
        self._reveal(min(below or fitting, key=self._place))
        return True

    def _place(self, target: Target) -> tuple[int, int]:
        """A key that sorts targets from the loss down, whatever is folded."""
        assert self._stack is not None
        if target.kind == "owner":
            return (-self._stack.owners[target.index].row, -target.index)
        row = target.index
        if target.kind == "stage":
            row = self._stack.stages[row].end_row - 1
        return (-row, -len(self._stack.owners))

    def _reveal(self, target: Target) -> None:
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

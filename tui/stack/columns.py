"""The columns of the stack. They depend only on the stack and the size, so they never move."""

from __future__ import annotations

from dataclasses import dataclass

from tl_tui.protocol.layers import StackInfo
from tui.state.memo import Memo
from tui.text.layer_names import short_name

WIDE = 100
"""The screen width from which bricks are wider and learning rates have a column."""

MARKER = 3
"""The cells of the tower left of its bricks; the cursor's marker is in the middle one."""

DECADES = (-5, 1)
"""The fixed scale of the bars, as exponents of ten."""

NAME, STATE, REACH, BAR, NORM, RATIO, RATE, ROLE = 9, 8, 9, 12, 7, 7, 6, 10
"""Widths in cells. Names may be wider where there is room; a role is a bracket and 8 letters."""

LONGEST_NAME = 40
_LONGEST: Memo[int] = Memo()

SENTENCE = 66
"""The width that a sentence in the table may always use."""


@dataclass(frozen=True)
class Columns:
    """The first cell of each column of the table, or None if the column is not shown."""

    brick_width: int
    """The width of a brick: 7 or 9 cells."""
    table: int
    """The width of the table."""
    name: int
    """The width of the name column, which begins at 0."""
    state: int
    reach: int
    bar: int | None
    norm: int | None
    ratio: int | None
    rate: int | None
    role: int | None
    """None below `WIDE` if the learning rates are shown in its place."""
    headers: bool
    """Whether stages have header lines."""

    @property
    def tower(self) -> int:
        """The width of the tower."""
        return MARKER + self.brick_width + 1

    @property
    def end(self) -> int:
        """The right end of the wall and of the line with the loss."""
        ends = [
            self.reach + REACH,
            (self.norm or 0) + NORM,
            (self.ratio or 0) + RATIO,
            (self.rate or 0) + RATE,
            (self.role or 0) + ROLE,
        ]
        return max(*ends, min(self.table - 1, SENTENCE))

    @property
    def marks(self) -> bool:
        """Whether there is room next to the names for the marks of folded and unfolded blocks."""
        return self.name >= NAME + 2


def columns_of(
    stack: StackInfo | None, width: int, *, wide: bool, headers: bool, rates: bool = False
) -> Columns:
    """Lay out the columns.

    Columns that do not fit are omitted in this order: role and rate, update ratio, bar, norm.

    Args:
        stack: Determines the width of the names; None while there is none.
        width: The width of tower and table together, in cells.
        wide: Whether the screen has at least `WIDE` columns.
        headers: Whether stages have header lines, which name the roles.
        rates: Whether to show rates instead of roles where there is no room for both.
    """
    brick = 9 if wide else 7
    room = max(0, width - (MARKER + brick + 1))
    used = NAME + (2 if wide else 0) + 1 + STATE + 1 + REACH
    if used > room:
        used -= 2 if wide else 0

    # Each column has a blank before it. A bar without its number would be of no use.
    with_norm = used + 1 + NORM <= room
    with_bar = used + 1 + BAR + 1 + NORM <= room
    used += 1 + NORM if with_norm else 0
    used += 1 + BAR if with_bar else 0
    with_ratio = with_bar and used + 1 + RATIO <= room
    used += 1 + RATIO if with_ratio else 0
    with_rate = wide and with_ratio and used + 1 + RATE < room
    used += 1 + RATE if with_rate else 0
    with_role = not headers and with_ratio and used + 1 + ROLE + 1 <= room
    used += 1 + ROLE if with_role else 0

    name = NAME + (2 if wide and with_norm else 0)
    name += max(0, min(room - used - 1, _longest(stack) - name))
    at = name + 1
    state, at = at, at + STATE + 1
    reach, at = at, at + REACH + 1
    bar, at = (at, at + BAR + 1) if with_bar else (None, at)
    norm, at = (at, at + NORM + 1) if with_norm else (None, at)
    ratio, at = (at, at + RATIO + 1) if with_ratio else (None, at)
    rate, at = (at, at + RATE + 1) if with_rate else (None, at)
    role = at if with_role else None
    if role is not None and rate is None and rates:
        rate, role = role + 1, None
    return Columns(brick, room, name, state, reach, bar, norm, ratio, rate, role, headers)


def _longest(stack: StackInfo | None) -> int:
    """Return the width of the longest name with its fold mark or branch."""
    if stack is None:
        return NAME
    return _LONGEST.get(stack, None, lambda: _longest_in(stack))


def _longest_in(stack: StackInfo) -> int:
    names = [row.name for row in stack.rows]
    names += [short_name(stack, owner) for owner in range(len(stack.owners))]
    return min(LONGEST_NAME, max(len(name) for name in names) + 2)

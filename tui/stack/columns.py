"""Where the stack's columns stand. They depend on the stack and the room alone and never move."""

from __future__ import annotations

from dataclasses import dataclass

from tl_tui.protocol.layers import StackInfo
from tui.state.memo import Memo
from tui.text.layer_names import short_name

WIDE = 100
"""Columns of the screen from which on bricks are wider and rates have a column."""

MARKER = 3
"""Cells of the tower left of its bricks; the cursor's marker is the middle one."""

DECADES = (-5, 1)
"""The bars' fixed scale, in powers of ten."""

NAME, STATE, REACH, BAR, NORM, RATIO, RATE, ROLE = 9, 8, 9, 12, 7, 7, 6, 10
"""Widths; a name may get more where there is room, a role is its bracket and up to 8 letters."""

LONGEST_NAME = 40
_LONGEST: Memo[int] = Memo()

SENTENCE = 66
"""What a sentence in the table may take in any case."""


@dataclass(frozen=True)
class Columns:
    """The first cell of each column, counted in the table, which begins right of the tower."""

    brick_width: int
    """Width of a brick: 7 or 9."""
    table: int
    """Width of the table."""
    name: int
    """Width of the name column, which begins at 0."""
    state: int
    reach: int
    bar: int | None
    norm: int | None
    ratio: int | None
    rate: int | None
    role: int | None
    """Below `WIDE` the rates may stand in its place: then it is None and `rate` is not."""
    headers: bool
    """Stages have header lines."""

    @property
    def tower(self) -> int:
        """Width of the tower."""
        return MARKER + self.brick_width + 1

    @property
    def end(self) -> int:
        """Where the wall ends and what stands at the right of the loss: behind the last column."""
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
        """There is room for fold marks beside the names."""
        return self.name >= NAME + 2


def columns_of(
    stack: StackInfo | None, width: int, *, wide: bool, headers: bool, rates: bool = False
) -> Columns:
    """Lay the columns out.

    What does not fit is given up in this order: role and rate, update ratio, bar, norm.

    Args:
        stack: For the length of its names; None while there is none.
        width: Cells of tower and table together.
        wide: The screen has at least `WIDE` columns.
        headers: Stages have header lines, which name the roles.
        rates: Where there is no room for both, show the rates in the roles' place.
    """
    brick = 9 if wide else 7
    room = max(0, width - (MARKER + brick + 1))
    used = NAME + (2 if wide else 0) + 1 + STATE + 1 + REACH
    if used > room:
        used -= 2 if wide else 0

    # Each takes its width and a space before it; a bar is worth nothing without its number.
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
    """Cells that the longest name would like, with its fold mark or branch."""
    if stack is None:
        return NAME
    return _LONGEST.get(stack, None, lambda: _longest_in(stack))


def _longest_in(stack: StackInfo) -> int:
    names = [row.name for row in stack.rows]
    names += [short_name(stack, owner) for owner in range(len(stack.owners))]
    return min(LONGEST_NAME, max(len(name) for name in names) + 2)


def truncate_middle(text: str, width: int, ellipsis: str) -> str:
    """The text in at most so many cells; what is too much is left out in the middle."""
    if len(text) <= width:
        return text
    if width < 3:
        return text[: max(0, width)]
    # A module path's end tells it from its neighbours.
    tail = round(0.6 * (width - 1))
    return text[: width - 1 - tail] + ellipsis + text[-tail:]

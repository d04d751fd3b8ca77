"""Which lines of the stack are drawn: from the loss on top down to the images.

There is always exactly one wall, so the number of lines does not depend on the mask, and a toggle
changes only what lies between the old wall and the new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from tl_tui.protocol.layers import StackInfo
from tui.stack.columns import Columns, columns_of
from tui.state.boundary import Boundary, boundary_of
from tui.state.cursor import StackCursor, Target
from tui.state.layer_status import LayerStatus, layer_status
from tui.state.memo import Memo
from tui.state.run_state import RunState

LineKind = Literal["heading", "loss", "row", "owner", "stage", "header", "wall", "images", "blank"]

ROOMY = 18
"""Lines from which on a stack that scrolls anyway has its stages' header lines."""


@dataclass(frozen=True)
class StackLine:
    """One line of the stack."""

    kind: LineKind
    target: Target | None = None
    """What a click means; for a header its stage."""
    status: LayerStatus | None = None
    """For a header that of the row below it, whose channel runs on through it."""
    shows: Target | None = None
    """Whose channel it shows: the target, for a header the row below it."""
    cursor: bool = False
    wall: Boundary | None = None
    pinned: Literal["", "above", "below"] = ""
    """The wall is off the window, in this direction."""
    expanded: bool = False
    last_part: bool = False
    role: str = ""
    """What stands in the role column; the bracket is beside it."""
    bracket: Literal["", "alone", "first", "middle", "last"] = ""


BLANK = StackLine("blank")
_ITEMS: Memo[list[_Item]] = Memo()


@dataclass(frozen=True)
class Picture:
    """Everything the stack shows but the numbers' text."""

    columns: Columns
    lines: tuple[StackLine, ...]
    offset: int
    """The first line of the stack in the window."""
    window: int
    """How many lines of the stack the window holds."""


@dataclass(frozen=True)
class _Item:
    """A line of the stack before it is looked at closely; the wall is not among them."""

    kind: Literal["row", "owner", "stage", "header", "images"]
    index: int
    row: int
    """Its row; the uppermost of a stage's; -1 for the images."""


def stack_lines(
    state: RunState, view: StackCursor, width: int, height: int, *, wide: bool = False
) -> Picture:
    """The lines to draw.

    Args:
        state: What is known.
        view: Cursor, folds and the window's place; it is not changed.
        width: Cells of the whole stack.
        height: Lines of the whole stack.
        wide: The screen has at least `columns.WIDE` columns.

    Returns:
        As many lines as the height.
    """
    stack = state.stack
    headers = stack is not None and wide and _headers_fit(stack, height)
    columns = columns_of(stack, width, wide=wide, headers=headers, rates=view.rates)
    top = [StackLine("heading")] if height >= 6 else []
    if stack is None:
        return Picture(columns, tuple((top + [BLANK] * height)[:height]), 0, 1)

    wall = boundary_of(state)
    items = _items(stack, view, headers)
    top += [StackLine("loss")] if height >= 3 else []
    foot: list[StackLine] = []
    if len(items) + 2 + len(top) > height >= 12:  # it scrolls, the images (the foot) do not
        foot = [StackLine("images")]
    else:
        items.append(_Item("images", 0, -1))
    window = max(1, height - len(top) - len(foot) - 1)
    offset = _offset(items, view, window)
    shown = items[offset : offset + window]

    lines = [
        _line(state, view, stack, items, offset + place, first=place == 0)
        for place in range(len(shown))
    ]
    where = _wall_place(items, wall)
    if wall.row == 0 and foot:
        foot.append(StackLine("wall", wall=wall))  # below the images, which are always in sight
    elif where < offset:
        lines.insert(0, StackLine("wall", wall=wall, pinned="above"))
    elif where > offset + len(shown):
        lines.append(StackLine("wall", wall=wall, pinned="below"))
    else:
        between = 0 < where < len(items) and _role(stack, items[where - 1]) == _role(
            stack, items[where]
        )
        bracket: Literal["", "middle"] = "middle" if between else ""
        lines.insert(where - offset, StackLine("wall", wall=wall, bracket=bracket))
    lines = top + lines + foot
    lines += [BLANK] * (height - len(lines))
    return Picture(columns, tuple(lines[:height]), offset, window)


def _headers_fit(stack: StackInfo, height: int) -> bool:
    rest = len(stack.rows) + 4
    return rest + sum(
        _has_header(stack, stage) for stage in range(len(stack.stages))
    ) <= height or (rest > height >= ROOMY)


def _has_header(stack: StackInfo, stage: int) -> bool:
    """A stage of one row that bears its name would only say it twice; the stem has one still."""
    info = stack.stages[stage]
    return info.end_row - info.first_row > 1 or (stage == 0 and len(stack.stages) > 1)


def _items(stack: StackInfo, view: StackCursor, headers: bool) -> list[_Item]:
    key = (view.folds, headers)
    return [*_ITEMS.get(stack, key, lambda: _items_of(stack, view, headers))]


def _items_of(stack: StackInfo, view: StackCursor, headers: bool) -> list[_Item]:
    items: list[_Item] = []
    for number in range(len(stack.stages) - 1, -1, -1):
        stage = stack.stages[number]
        if number in view.collapsed:
            items.append(_Item("stage", number, stage.end_row - 1))
            continue
        if headers and _has_header(stack, number):
            items.append(_Item("header", number, stage.end_row - 1))
        for row in range(stage.end_row - 1, stage.first_row - 1, -1):
            items.append(_Item("row", row, row))
            if row in view.expanded:
                info = stack.rows[row]
                owners = range(info.end_owner - 1, info.first_owner - 1, -1)
                items += [_Item("owner", owner, row) for owner in owners]
    return items


def _offset(items: list[_Item], view: StackCursor, window: int) -> int:
    """Where the window begins: where it was, moved as little as keeps the cursor in it."""
    last = max(0, len(items) - window)
    offset = max(0, min(view.offset, last))
    if not view.follows:
        return offset
    cursor = (view.cursor.kind, view.cursor.index)
    here = next((n for n, item in enumerate(items) if (item.kind, item.index) == cursor), offset)
    margin = 1 if window >= 5 else 0
    offset = min(offset, here - margin)
    offset = max(offset, here + margin - window + 1)
    # The parts of an expanded row come into sight with it, as far as the row itself stays.
    if items[here].kind == "row":
        parts = takewhile(lambda item: item.kind == "owner", items[here + 1 :])
        offset = max(offset, min(here + len(list(parts)) - window + 1, here - margin))
    return max(0, min(offset, last))


def _wall_place(items: list[_Item], wall: Boundary) -> int:
    """How many items stand above the wall."""
    if wall.row is None:
        return 0
    if wall.row == 0:
        return len(items)
    return max(
        place + 1
        for place, item in enumerate(items)
        if item.kind not in ("header", "images") and item.row >= wall.row
    )


def _role(stack: StackInfo, item: _Item) -> str:
    return stack.rows[item.row].role if item.row >= 0 else ""


def _line(
    state: RunState,
    view: StackCursor,
    stack: StackInfo,
    items: list[_Item],
    place: int,
    *,
    first: bool,
) -> StackLine:
    item = items[place]
    if item.kind == "images":
        return StackLine("images")
    if item.kind == "header":
        below = Target("row", item.row)
        stage = Target("stage", item.index)
        return StackLine("header", target=stage, status=layer_status(state, below), shows=below)
    target = Target(item.kind, item.index)
    role = _role(stack, item)
    same_above = place > 0 and _role(stack, items[place - 1]) == role
    same_below = place + 1 < len(items) and _role(stack, items[place + 1]) == role
    bracket: Literal["alone", "first", "middle", "last"] = (
        ("middle" if same_below else "last") if same_above else ("first" if same_below else "alone")
    )
    return StackLine(
        item.kind,
        target=target,
        shows=target,
        status=layer_status(state, target),
        cursor=target == view.cursor,
        expanded=item.kind == "row" and item.index in view.expanded,
        last_part=item.kind == "owner" and item.index == stack.rows[item.row].first_owner,
        role="" if same_above and not first else role,
        bracket=bracket,
    )

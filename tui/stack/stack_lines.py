"""The lines of the stack that are visible, from the loss at the top down to the images.

There is always exactly one wall, so that the number of lines does not depend on the mask and a
toggle changes only the lines between the old wall and the new one.
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
"""The height from which a stack that has to scroll shows the header lines of its stages."""


@dataclass(frozen=True)
class StackLine:
    """One line of the stack."""

    kind: LineKind
    target: Target | None = None
    """The target of a click; for a header its stage."""
    status: LayerStatus | None = None
    """The status of the target; for a header that of the row below it."""
    shows: Target | None = None
    """The target whose gradient is drawn: for a header the row below it."""
    cursor: bool = False
    """Whether the cursor is on this line."""
    wall: Boundary | None = None
    pinned: Literal["", "above", "below"] = ""
    """The direction of a wall that is outside of the window."""
    expanded: bool = False
    last_part: bool = False
    """Whether this is the last owner of an expanded row."""
    role: str = ""
    """The text of the role column."""
    bracket: Literal["", "alone", "first", "middle", "last"] = ""


BLANK = StackLine("blank")
_ITEMS: Memo[list[_Item]] = Memo()


@dataclass(frozen=True)
class Picture:
    """The visible lines of the stack with their columns."""

    columns: Columns
    lines: tuple[StackLine, ...]
    offset: int
    """The first visible line of the stack."""
    window: int
    """The number of visible lines of the stack."""


@dataclass(frozen=True)
class _Item:
    """A line of the stack before its status is computed. The wall is not an item."""

    kind: Literal["row", "owner", "stage", "header", "images"]
    index: int
    row: int
    """Its row; for a stage the one closest to the loss; -1 for the images."""


def stack_lines(
    state: RunState, view: StackCursor, width: int, height: int, *, wide: bool = False
) -> Picture:
    """Return the visible lines.

    Args:
        state: The state of the run.
        view: Cursor, folds and scroll position; it is not changed.
        width: The width of the stack in cells.
        height: The height of the stack in lines.
        wide: Whether the screen has at least `columns.WIDE` columns.

    Returns:
        Exactly `height` lines.
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
    if len(items) + 2 + len(top) > height >= 12:  # it scrolls, but the images at its foot do not
        foot = [StackLine("images")]
    else:
        items.append(_Item("images", 0, -1))
    window = max(1, height - len(top) - len(foot) - 1)
    offset = _offset(items, view, window)
    shown = items[offset : offset + window]

    lines = [
        _line(state, view, stack, items, offset + index, first=index == 0)
        for index in range(len(shown))
    ]
    above = _items_above(items, wall)
    if wall.row == 0 and foot:
        foot.append(StackLine("wall", wall=wall))  # below the images, which are always visible
    elif above < offset:
        lines.insert(0, StackLine("wall", wall=wall, pinned="above"))
    elif above > offset + len(shown):
        lines.append(StackLine("wall", wall=wall, pinned="below"))
    else:
        within_role = 0 < above < len(items) and _role(stack, items[above - 1]) == _role(
            stack, items[above]
        )
        bracket: Literal["", "middle"] = "middle" if within_role else ""
        lines.insert(above - offset, StackLine("wall", wall=wall, bracket=bracket))
    lines = top + lines + foot
    lines += [BLANK] * (height - len(lines))
    return Picture(columns, tuple(lines[:height]), offset, window)


def _headers_fit(stack: StackInfo, height: int) -> bool:
    rest = len(stack.rows) + 4
    return rest + sum(
        _has_header(stack, stage) for stage in range(len(stack.stages))
    ) <= height or (rest > height >= ROOMY)


def _has_header(stack: StackInfo, stage: int) -> bool:
    """Return whether a stage has a header line: only the stem has one for a single row."""
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
    """Return the first visible item. The window moves as little as possible to show the cursor."""
    last = max(0, len(items) - window)
    offset = max(0, min(view.offset, last))
    if not view.follows:
        return offset
    cursor = (view.cursor.kind, view.cursor.index)
    at = next((n for n, item in enumerate(items) if (item.kind, item.index) == cursor), offset)
    margin = 1 if window >= 5 else 0
    offset = min(offset, at - margin)
    offset = max(offset, at + margin - window + 1)
    # Show the parts of an expanded row too, as long as the row itself stays visible.
    if items[at].kind == "row":
        parts = takewhile(lambda item: item.kind == "owner", items[at + 1 :])
        offset = max(offset, min(at + len(list(parts)) - window + 1, at - margin))
    return max(0, min(offset, last))


def _items_above(items: list[_Item], wall: Boundary) -> int:
    """Return the number of items above the wall."""
    if wall.row is None:
        return 0
    if wall.row == 0:
        return len(items)
    return max(
        index + 1
        for index, item in enumerate(items)
        if item.kind not in ("header", "images") and item.row >= wall.row
    )


def _role(stack: StackInfo, item: _Item) -> str:
    return stack.rows[item.row].role if item.row >= 0 else ""


def _line(
    state: RunState,
    view: StackCursor,
    stack: StackInfo,
    items: list[_Item],
    index: int,
    *,
    first: bool,
) -> StackLine:
    item = items[index]
    if item.kind == "images":
        return StackLine("images")
    if item.kind == "header":
        below = Target("row", item.row)
        stage = Target("stage", item.index)
        return StackLine("header", target=stage, status=layer_status(state, below), shows=below)
    target = Target(item.kind, item.index)
    role = _role(stack, item)
    same_above = index > 0 and _role(stack, items[index - 1]) == role
    same_below = index + 1 < len(items) and _role(stack, items[index + 1]) == role
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

"""Sets of parameter owners in words: `fc, layer4 and the two convolutions of layer3.1`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tl_tui.protocol.layers import StackInfo

_SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Names:
    """Some layers in words."""

    text: str
    plural: bool
    """It takes `are`, not `is`."""


def count(number: int, noun: str) -> str:
    """Such as `one layer` or `12 layers`."""
    return f"{_number(number)} {noun}{'' if number == 1 else 's'}"


def _number(number: int) -> str:
    return _SMALL[number] if number < len(_SMALL) else f"{number:,}"


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def row_of_its(stack: StackInfo, owners: Collection[int]) -> list[int]:
    """Rows of which only a part is among the owners, from the loss down."""
    return [
        row
        for row in range(len(stack.rows) - 1, -1, -1)
        if 0 < sum(owner in owners for owner in _range(stack, row)) < len(_range(stack, row))
    ]


def names_of(
    stack: StackInfo, owners: Collection[int], limit: int, *, its: int | None = None
) -> Names:
    """Name owners in at most so many items, from the loss down, parts of layers last.

    Args:
        stack: The stack.
        owners: At least one.
        limit: How many items are said before neighbours are taken together (`layer1 to layer4`)
            and at last only counted (`12 layers`).
        its: A row that was just spoken of: its parts are called `its` and come first.
    """
    full = [
        row
        for row in range(len(stack.rows) - 1, -1, -1)
        if all(owner in owners for owner in _range(stack, row))
    ]
    partial = row_of_its(stack, owners)
    if len(full) == len(stack.rows) and len(full) > 1:
        return Names(f"all {len(full)} layers", True)

    own: list[str] = []
    if its in partial:
        partial.remove(its)
        own = [_parts(stack, owners, its, of_it=True)]
    parts = _several_parts(stack, owners, partial, max(1, limit - len(own)))
    room = max(1, limit - len(parts) - len(own))
    for said in (_by_stage(stack, full), _by_run(stack, full)):
        if len(said) <= room:
            break
    else:
        said = [count(len(full), "layer")]
    words = own + said + parts
    if len(words) > 1:
        return Names(listed(words), True)
    # One name is one thing, be it a stage; a count and a stretch of layers are several.
    several = " " in words[0] if full else len(owners) > 1
    return Names(words[0], several)


def _range(stack: StackInfo, row: int) -> range:
    return range(stack.rows[row].first_owner, stack.rows[row].end_owner)


def _by_stage(stack: StackInfo, rows: list[int]) -> list[str]:
    """Rows by name, a whole stage under its own."""
    said: list[str] = []
    for row in rows:
        stage = stack.stages[stack.rows[row].stage]
        whole = all(other in rows for other in range(stage.first_row, stage.end_row))
        name = stage.name if whole and stage.end_row - stage.first_row > 1 else stack.rows[row].name
        if name not in said:
            said.append(name)
    return said


def _by_run(stack: StackInfo, rows: list[int]) -> list[str]:
    """Neighbours taken together: `layer1 to layer4`, a stage only partly there row by row."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and runs[-1][-1] == row + 1:
            runs[-1].append(row)
        else:
            runs.append([row])
    said: list[str] = []
    for run in runs:
        names = _by_stage(stack, run)
        said += names if len(names) < 3 else [f"{names[-1]} to {names[0]}"]
    return said


def _several_parts(
    stack: StackInfo, owners: Collection[int], rows: list[int], limit: int
) -> list[str]:
    if len(rows) <= min(limit, 2):
        return [_parts(stack, owners, row) for row in rows]
    mine = [owner for row in rows for owner in _range(stack, row) if owner in owners]
    kind = _kind(stack, mine)
    return [f"{f'the {kind}s' if kind else 'parts'} of {count(len(rows), 'layer')}"]


def _parts(stack: StackInfo, owners: Collection[int], row: int, *, of_it: bool = False) -> str:
    """A part of one row: `the two convolutions of layer4.1`, or `its BatchNorms`."""
    mine = [owner for owner in _range(stack, row) if owner in owners]
    kind = _kind(stack, mine)
    of = "" if of_it else f" of {stack.rows[row].name}"
    if kind:
        alike = [owner for owner in _range(stack, row) if _kind(stack, [owner]) == kind]
        if len(alike) == len(mine):
            if of_it:
                return f"its frozen {kind}{'' if len(mine) == 1 else 's'}"
            many = kind + "s" if kind == "BatchNorm" else count(len(mine), kind)
            return f"the {kind if len(mine) == 1 else many}{of}"
    names = [short_name(stack, owner) for owner in reversed(mine)]
    if len(mine) <= 2 and all(len(name) <= 16 for name in names):
        return (
            listed(["its " + name for name in names[:1]] + names[1:])
            if of_it
            else (listed(names) + of)
        )
    several, total = _number(len(mine)), _number(len(_range(stack, row)))
    return f"{several} of its {total} parts" if of_it else f"{several} of {total} parts{of}"


def _kind(stack: StackInfo, owners: list[int]) -> str:
    """What these owners all are, in a word; empty if they are not alike."""
    if owners and all(stack.owners[owner].norm for owner in owners):
        return "BatchNorm"
    if owners and all(stack.owners[owner].kind.startswith("Conv") for owner in owners):
        return "convolution"
    return ""


def short_name(stack: StackInfo, owner: int) -> str:
    """An owner's name within its row: `conv2` of `layer4.1.conv2`."""
    info = stack.owners[owner]
    return info.name.removeprefix(stack.rows[info.row].name + ".")

"""Names for sets of parameter owners: `fc, layer4 and the two convolutions of layer3.1`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tl_tui.protocol.layers import StackInfo

_SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Names:
    """The name of one or several layers."""

    text: str
    plural: bool
    """Whether the verb after it is plural."""
    is_module: bool = False
    """Whether the text begins with a module's name, which is not capitalized."""

    @property
    def capitalized(self) -> str:
        """The text as the beginning of a sentence."""
        return self.text if self.is_module else self.text[:1].upper() + self.text[1:]


def count(number: int, noun: str) -> str:
    """Return a number with its noun, such as `one layer` or `12 layers`."""
    return f"{_number(number)} {noun}{'' if number == 1 else 's'}"


def _number(number: int) -> str:
    return _SMALL[number] if number < len(_SMALL) else f"{number:,}"


def listed(items: list[str]) -> str:
    """Join items: `a`, `a and b`, `a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def partial_rows(stack: StackInfo, owners: Collection[int]) -> list[int]:
    """Return the rows with some but not all of their owners in a set, from the loss down."""
    return [
        row
        for row in range(len(stack.rows) - 1, -1, -1)
        if 0 < sum(owner in owners for owner in _range(stack, row)) < len(_range(stack, row))
    ]


def names_of(
    stack: StackInfo, owners: Collection[int], limit: int, *, its: int | None = None
) -> Names:
    """Name owners in at most `limit` items, from the loss down, parts of layers last.

    Args:
        stack: The stack.
        owners: At least one owner.
        limit: The number of items above which neighbouring layers are joined (`layer1 to layer4`),
            and after that only counted (`12 layers`).
        its: A row that the sentence has just mentioned: its parts come first, called `its ...`.
    """
    full = [
        row
        for row in range(len(stack.rows) - 1, -1, -1)
        if all(owner in owners for owner in _range(stack, row))
    ]
    partial = partial_rows(stack, owners)
    if len(full) == len(stack.rows) and len(full) > 1:
        return Names(f"all {len(full)} layers", True)

    own: list[Names] = []
    if its in partial:
        partial.remove(its)
        own = [_parts(stack, owners, its, of_it=True)]
    parts = _parts_of_rows(stack, owners, partial, max(1, limit - len(own)))
    room = max(1, limit - len(parts) - len(own))
    for layers in (_by_stage(stack, full), _by_run(stack, full)):
        if len(layers) <= room:
            break
    else:
        layers = [Names(count(len(full), "layer"), len(full) != 1)]
    items = own + layers + parts
    if len(items) == 1:
        return items[0]
    return Names(listed([item.text for item in items]), True, items[0].is_module)


def _range(stack: StackInfo, row: int) -> range:
    return range(stack.rows[row].first_owner, stack.rows[row].end_owner)


def _by_stage(stack: StackInfo, rows: list[int]) -> list[Names]:
    """Name each row, or a stage if all of its rows are among them."""
    names: list[str] = []
    for row in rows:
        stage = stack.stages[stack.rows[row].stage]
        whole = all(other in rows for other in range(stage.first_row, stage.end_row))
        name = stage.name if whole and stage.end_row - stage.first_row > 1 else stack.rows[row].name
        if name not in names:
            names.append(name)
    return [Names(name, False, True) for name in names]


def _by_run(stack: StackInfo, rows: list[int]) -> list[Names]:
    """Name each row or stage, and join three or more neighbours: `layer1 to layer4`."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and runs[-1][-1] == row + 1:
            runs[-1].append(row)
        else:
            runs.append([row])
    items: list[Names] = []
    for run in runs:
        names = _by_stage(stack, run)
        if len(names) >= 3:
            names = [Names(f"{names[-1].text} to {names[0].text}", True, True)]
        items += names
    return items


def _parts_of_rows(
    stack: StackInfo, owners: Collection[int], rows: list[int], limit: int
) -> list[Names]:
    if len(rows) <= min(limit, 2):
        return [_parts(stack, owners, row) for row in rows]
    selected = [owner for row in rows for owner in _range(stack, row) if owner in owners]
    kind = _kind(stack, selected)
    parts = f"the {kind}s" if kind else "parts"
    return [Names(f"{parts} of {count(len(rows), 'layer')}", len(owners) > 1)]


def _parts(stack: StackInfo, owners: Collection[int], row: int, *, of_it: bool = False) -> Names:
    """Name a part of one row: `the two convolutions of layer4.1`, or `its BatchNorms`."""
    selected = [owner for owner in _range(stack, row) if owner in owners]
    plural = len(owners) > 1
    kind = _kind(stack, selected)
    of_row = "" if of_it else f" of {stack.rows[row].name}"
    if kind:
        alike = [owner for owner in _range(stack, row) if _kind(stack, [owner]) == kind]
        if len(alike) == len(selected):
            if of_it:
                return Names(f"its frozen {kind}{'' if len(selected) == 1 else 's'}", plural)
            many = kind + "s" if kind == "BatchNorm" else count(len(selected), kind)
            return Names(f"the {kind if len(selected) == 1 else many}{of_row}", plural)
    names = [short_name(stack, owner) for owner in reversed(selected)]
    if len(selected) <= 2 and all(len(name) <= 16 for name in names):
        if of_it:
            return Names(listed([f"its {names[0]}", *names[1:]]), plural)
        return Names(listed(names) + of_row, plural, True)
    several, total = _number(len(selected)), _number(len(_range(stack, row)))
    of_parts = f"of its {total} parts" if of_it else f"of {total} parts{of_row}"
    return Names(f"{several} {of_parts}", plural)


def _kind(stack: StackInfo, owners: list[int]) -> str:
    """Return the kind that all of these owners have in common; empty if there is none."""
    if owners and all(stack.owners[owner].norm for owner in owners):
        return "BatchNorm"
    if owners and all(stack.owners[owner].kind.startswith("Conv") for owner in owners):
        return "convolution"
    return ""


def short_name(stack: StackInfo, owner: int) -> str:
    """Return an owner's name within its row: `conv2` for `layer4.1.conv2`."""
    info = stack.owners[owner]
    return info.name.removeprefix(stack.rows[info.row].name + ".")

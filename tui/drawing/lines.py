"""Lines of styled text: building, truncating, splitting and comparing them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap

from rich.cells import cell_len, chop_cells, set_cell_size

Piece = tuple[str, str]
"""Text and a style. The style is a field of `theme.Palette`, or several joined by `+`, where later
ones override earlier ones, such as `frozen_name+dim`."""
Line = tuple[Piece, ...]
PlacedPiece = tuple[int, str, str]
"""Column, text, style."""


def line(*pieces: str | Piece) -> Line:
    """Return a line of pieces; plain strings get the style `text`."""
    return tuple((piece, "text") if isinstance(piece, str) else piece for piece in pieces)


def line_width(pieces: Iterable[Piece]) -> int:
    """Return the width of the pieces in cells."""
    return sum(cell_len(text) for text, _ in pieces)


def fitted(text: str, width: int) -> str:
    """Truncate a text with an ellipsis to at most `width` cells."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 1 else text[: max(0, width)]


def shorten_middle(text: str, width: int, ellipsis: str = "…") -> str:
    """Truncate a text in its middle to at most `width` cells.

    The end, which distinguishes a path from similar ones, gets two thirds of the cells.

    Args:
        text: A path or a module's name.
        width: Cells; below 4 the end is cut instead.
        ellipsis: One cell that replaces what is left out.
    """
    if cell_len(text) <= width:
        return text
    if width < 4:
        return set_cell_size(text, max(0, width)).rstrip()
    tail, cells = len(text), 0
    while tail and cells + cell_len(text[tail - 1]) <= (width - 1) * 2 // 3:
        tail -= 1
        cells += cell_len(text[tail])
    head, left = 0, width - 1 - cells
    while cell_len(text[head]) <= left:
        left -= cell_len(text[head])
        head += 1
    return f"{text[:head]}{ellipsis}{text[tail:]}"


def shorten_path(path: str, width: int, ellipsis: str = "…") -> str:
    """Truncate a path to at most `width` cells: its folders first, and then the middle of its name.

    Args:
        path: The path of a file.
        width: Cells.
        ellipsis: One cell that replaces what is left out.
    """
    if cell_len(path) <= width:
        return path
    name = path.rpartition("/")[2]
    if cell_len(name) + 2 > width:
        return shorten_middle(name, width, ellipsis)
    return (
        shorten_middle(path, width, ellipsis)
        if width > 3 * cell_len(name)
        else (f"{ellipsis}/{name}")
    )


def clipped(pieces: Line, width: int) -> Line:
    """Truncate a line with an ellipsis to at most `width` cells."""
    kept: list[Piece] = []
    for text, style in pieces:
        if cell_len(text) > width:
            return (*kept, (fitted(text, width), style))
        kept.append((text, style))
        width -= cell_len(text)
    return tuple(kept)


def justified(left: Sequence[Piece], right: Sequence[Piece], width: int) -> Line:
    """Return a line of `width` cells with pieces at both ends.

    The left end is truncated if there is no room for both.
    """
    room = width - line_width(right) - 1
    kept: list[Piece] = []
    for text, style in left:
        if cell_len(text) > room:
            kept.append((fitted(text, room), style))
            room = 0
            break
        kept.append((text, style))
        room -= cell_len(text)
    return (*kept, (" " * (room + 1), "text"), *right)


def wrapped(text: str, width: int, lines: int | None = None) -> list[str]:
    """Wrap a text into lines of `width` cells.

    Args:
        text: The text.
        width: Cells; at least 8 are used.
        lines: The most lines, of which the last one is truncated; None for no limit.
    """
    width = max(8, width)
    # The standard library counts characters, of which a wide one takes two cells.
    parts = (
        wrap(text, width, break_on_hyphens=False)
        if cell_len(text) == len(text)
        else _wrapped_cells(text, width)
    )
    if lines is not None and len(parts) > lines:
        parts = [*parts[: lines - 1], fitted(" ".join(parts[lines - 1 :]), width)]
    return parts


def _wrapped_cells(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and cell_len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        if lines[-1]:
            lines.append("")
        *full, rest = chop_cells(word, width)
        lines = [*lines[:-1], *full, rest]
    return lines if lines[0] else []


def wrapped_message(text: str, width: int, lines: int, key: str = "M") -> list[str]:
    """Wrap a message; if it is cut, its last line names the key that shows all of it.

    Args:
        text: The message.
        width: Cells.
        lines: The most lines.
        key: The key that opens the page of messages.
    """
    parts = wrapped(text, width)
    if len(parts) <= lines:
        return parts
    hint = f" ({key}: all of it)"
    last = fitted(" ".join(parts[lines - 1 :]), max(8, width - len(hint)))
    return [*parts[: lines - 1], last + hint]


def at_columns(width: int, placed: Iterable[PlacedPiece]) -> Line:
    """Return a line of exactly `width` cells with pieces at given columns.

    Args:
        width: Cells.
        placed: (column, text, style) from left to right. What overlaps the piece before, or the
            right edge, is cut off.
    """
    pieces: list[Piece] = []
    at = 0
    for column, text, style in placed:
        if column > at:
            pieces.append((" " * (min(column, width) - at), "text"))
            at = min(column, width)
        text = text[max(0, at - column) :][: max(0, width - at)]
        if text:
            pieces.append((text, style))
            at += len(text)
    if at < width:
        pieces.append((" " * (width - at), "text"))
    return tuple(pieces)


def dimmed(pieces: Line) -> Line:
    """Return the line with all of its pieces dim."""
    return tuple((text, f"{style}+dim") for text, style in pieces)


def split_at(pieces: Line, column: int) -> tuple[Line, Line]:
    """Split a line at a column: the cells before it, and the others."""
    left: list[Piece] = []
    right: list[Piece] = []
    at = 0
    for text, style in pieces:
        room = max(0, column - at)
        if text[:room]:
            left.append((text[:room], style))
        if text[room:]:
            right.append((text[room:], style))
        at += len(text)
    return tuple(left), tuple(right)


def changed_cells(before: Line, after: Line) -> tuple[int, int] | None:
    """Return the first changed cell and the cell after the last; None if nothing changed."""
    if before == after:
        return None
    old, new = _cells(before), _cells(after)
    length = max(len(old), len(new))
    old += [_BLANK] * (length - len(old))
    new += [_BLANK] * (length - len(new))
    differing = [x for x in range(length) if old[x] != new[x]]
    return (differing[0], differing[-1] + 1) if differing else None


_BLANK: Piece = (" ", "")
_SOLID = ("alarm", "chosen")
"""Styles in which a blank is visible because they have a background or reverse the colours."""


def _cells(pieces: Line) -> list[Piece]:
    """Return one piece per cell; a wide character takes two."""
    cells: list[Piece] = []
    for text, style in pieces:
        blank = (" ", style) if any(name in style for name in _SOLID) else _BLANK
        for character in text:
            piece = blank if character == " " else (character, style)
            cells += [piece] if character.isascii() else [piece] * cell_len(character)
    return cells

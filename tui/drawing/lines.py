"""Lines of styled text: building, cutting, splitting and comparing them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

Piece = tuple[str, str]
"""Text, and a style: a field of `theme.Palette`, or several joined by `+`, the later ones over
the earlier, such as `frozen_name+dim`."""
Line = tuple[Piece, ...]
PlacedPiece = tuple[int, str, str]
"""Column, text, style."""


def line(*pieces: str | Piece) -> Line:
    """A line of pieces; bare text has the style `text`."""
    return tuple((piece, "text") if isinstance(piece, str) else piece for piece in pieces)


def line_width(pieces: Iterable[Piece]) -> int:
    """Cells that the pieces take."""
    return sum(cell_len(text) for text, _ in pieces)


def fitted(text: str, width: int) -> str:
    """The text, cut with an ellipsis to at most so many cells."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 1 else text[: max(0, width)]


def clipped(pieces: Line, width: int) -> Line:
    """The line in at most so many cells, the last piece cut with an ellipsis."""
    kept: list[Piece] = []
    for text, style in pieces:
        if cell_len(text) > width:
            return (*kept, (fitted(text, width), style))
        kept.append((text, style))
        width -= cell_len(text)
    return tuple(kept)


def justified(left: Sequence[Piece], right: Sequence[Piece], width: int) -> Line:
    """Both ends of a line of so many cells; the left end is cut if there is no room for both."""
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


def wrapped(text: str, width: int, lines: int) -> list[str]:
    """The text in at most so many lines of so many cells, the last one cut if need be."""
    from textwrap import wrap

    found = wrap(text, max(8, width), break_long_words=True)
    if len(found) > lines:
        found = [*found[: lines - 1], fitted(" ".join(found[lines - 1 :]), max(8, width))]
    return found


def at_columns(width: int, placed: Iterable[PlacedPiece]) -> Line:
    """Pieces at their columns (column, text, style), blanks between them, in exactly this width.

    Pieces come from left to right; what overlaps the one before, or the edge, is cut.
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
    """The same line, all of it dim."""
    return tuple((text, f"{style}+dim") for text, style in pieces)


def split_at(pieces: Line, column: int) -> tuple[Line, Line]:
    """The same line in two: the cells before a column, and the others."""
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
    """Return the first changed cell and the one after the last; None if nothing changed."""
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
"""Styles in which a blank can be seen: they reverse colours or have a background."""


def _cells(pieces: Line) -> list[Piece]:
    """Return one piece per cell; a wide character takes two."""
    cells: list[Piece] = []
    for text, style in pieces:
        blank = (" ", style) if any(name in style for name in _SOLID) else _BLANK
        for character in text:
            piece = blank if character == " " else (character, style)
            cells += [piece] if character.isascii() else [piece] * cell_len(character)
    return cells

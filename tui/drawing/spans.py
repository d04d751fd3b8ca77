"""A line of text in pieces, each with the name of its style in the palette."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[str, str]
"""Text, and a style: a field of `theme.Palette`, or several joined by `+`, the later ones over
the earlier, such as `frozen_name+dim`."""

Spans = tuple[Span, ...]


def place(width: int, pieces: Iterable[tuple[int, str, str]]) -> Spans:
    """Pieces at their columns (column, text, style), blanks between them, in exactly this width.

    Pieces come from left to right; what overlaps the one before, or the edge, is cut.
    """
    spans: list[Span] = []
    at = 0
    for column, text, style in pieces:
        if column > at:
            spans.append((" " * (min(column, width) - at), "text"))
            at = min(column, width)
        text = text[max(0, at - column) :][: max(0, width - at)]
        if text:
            spans.append((text, style))
            at += len(text)
    if at < width:
        spans.append((" " * (width - at), "text"))
    return tuple(spans)


def dimmed(spans: Spans) -> Spans:
    """The same line, all of it dim."""
    return tuple((text, f"{style}+dim") for text, style in spans)


def parted(spans: Spans, column: int) -> tuple[Spans, Spans]:
    """The same line in two: the cells before a column, and the others."""
    left: list[Span] = []
    right: list[Span] = []
    at = 0
    for text, style in spans:
        room = max(0, column - at)
        if text[:room]:
            left.append((text[:room], style))
        if text[room:]:
            right.append((text[room:], style))
        at += len(text)
    return tuple(left), tuple(right)


def changed(before: Spans | None, after: Spans) -> tuple[int, int] | None:
    """The first changed cell and the one behind the last, or None if nothing changed."""
    if before == after:
        return None
    new = _cells(after)
    if before is None:
        return 0, len(new)
    old = _cells(before)
    if len(old) != len(new):
        return 0, max(len(old), len(new))
    differing = [place for place, (was, now) in enumerate(zip(old, new, strict=True)) if was != now]
    return (differing[0], differing[-1] + 1) if differing else None


def _cells(spans: Spans) -> list[Span]:
    # A blank looks the same in every style but a reversed one.
    return [
        (letter, "" if letter == " " and "alarm" not in style else style)
        for text, style in spans
        for letter in text
    ]

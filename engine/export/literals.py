"""Python values as a careful person would type them, in lines of at most 100 columns."""

from __future__ import annotations

from typing import Any

WIDTH = 100


def literal(value: Any, column: int = 0, indent: int = 0) -> str:
    """A value as Python text.

    Args:
        value: Numbers, texts, and lists, tuples, sets and dicts of them.
        column: Where it begins; on one line it must end before the page does.
        indent: Of the line it begins on.
    """
    text = _inline(value)
    if column + len(text) < WIDTH or not isinstance(value, (list, tuple, set, dict)):
        return text
    opening, closing = text[0], text[-1]
    inner = " " * (indent + 4)
    if isinstance(value, dict):
        parts = [f"{_inline(key)}: {_inline(item)}" for key, item in value.items()]
    else:
        parts = [_inline(item) for item in (sorted(value) if isinstance(value, set) else value)]
    return "\n".join([opening, *_filled(parts, inner), f"{' ' * indent}{closing}"])


def _inline(value: Any) -> str:
    if isinstance(value, set):
        return "{" + ", ".join(map(_inline, sorted(value))) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_inline, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_inline(k)}: {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, str):
        return quoted(value)
    return repr(value)


def quoted(text: str) -> str:
    """A text in double quotes, where it has none itself; other encodings' bytes as escapes."""
    shown = ascii(text) if not text.isprintable() else repr(text)
    if shown[0] == "'" and '"' not in shown:
        return f'"{shown[1:-1]}"'
    return shown


def _filled(parts: list[str], inner: str) -> list[str]:
    """As many parts a line as fit."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 2 <= WIDTH:
            lines[-1] += f" {part},"
        else:
            lines.append(f"{inner}{part},")
    return lines

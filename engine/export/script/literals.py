"""Python values as formatters lay them out, in lines of at most 100 columns."""

from __future__ import annotations

import textwrap
from typing import Any

WIDTH = 100


def literal(value: Any, column: int = 0, indent: int = 0) -> str:
    """A value as Python text: on one line if it fits, else an item a line.

    Args:
        value: Numbers, texts, and lists, tuples, sets and dicts of them.
        column: Where it begins.
        indent: Of the line it begins on.
    """
    text = _inline(value)
    if column + len(text) < WIDTH or not isinstance(value, (list, tuple, set, dict)):
        return text
    inner = indent + 4
    if isinstance(value, dict):
        parts = [
            f"{_inline(key)}: {literal(item, inner + len(_inline(key)) + 2, inner)}"
            for key, item in value.items()
        ]
    elif isinstance(value, tuple):
        parts = [_words(item, inner) for item in value]
    else:
        items = sorted(value) if isinstance(value, set) else value
        parts = [literal(item, inner, inner) for item in items]
    lines = [f"{' ' * inner}{part}," for part in parts]
    return "\n".join([text[0], *lines, f"{' ' * indent}{text[-1]}"])


def _words(value: Any, indent: int) -> str:
    """A text that is too long for a line in several, cut between its words."""
    if not isinstance(value, str) or indent + len(value) + 3 <= WIDTH:
        return literal(value, indent, indent)
    lines = textwrap.wrap(value, WIDTH - indent - 3, break_long_words=False, break_on_hyphens=False)
    spaced = [*(f"{line} " for line in lines[:-1]), lines[-1]]
    return f"\n{' ' * indent}".join(map(quoted, spaced))


def _inline(value: Any) -> str:
    if isinstance(value, set):
        return "{" + ", ".join(map(_inline, sorted(value))) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_inline, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_inline(k)}: {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, float):
        return repr(value).replace("e+", "e")
    return quoted(value) if isinstance(value, str) else repr(value)


def quoted(text: str) -> str:
    """A text in double quotes, where it has none itself; bytes of other encodings as escapes."""
    shown = repr(text) if text.isprintable() else ascii(text)
    if shown[0] == "'" and '"' not in shown:
        return f'"{shown[1:-1]}"'
    return shown


def path_lines(name: str, path: object, comment: str = "") -> list[str]:
    """A path as a setting, with what it is beside it if there is room, else above it."""
    text = quoted(str(path))
    line = f"{name} = Path({text})"
    beside = f"{line}  # {comment}" if comment else line
    if len(beside) <= WIDTH:
        return [beside]
    above = [f"# {comment[0].upper()}{comment[1:]}."] if comment else []
    if len(line) <= WIDTH:
        return [*above, line]
    return [*above, f"{name} = Path(", f"    {text}", ")"]

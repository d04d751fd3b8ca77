"""Formatting of Python values as source code, in lines of at most 100 columns."""

from __future__ import annotations

import textwrap
from typing import Any

WIDTH = 100


def literal(value: Any, column: int = 0, indent: int = 0) -> str:
    """Return the source code of a value: on one line if it fits, otherwise one line per item.

    Args:
        value: A number or string, or a list, tuple, set or dict of them.
        column: The column in which the code begins.
        indent: The indentation of the line on which the code begins.
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
        parts = [_wrapped(item, inner) for item in value]
    else:
        items = sorted(value) if isinstance(value, set) else value
        parts = [literal(item, inner, inner) for item in items]
    lines = [f"{' ' * inner}{part}," for part in parts]
    return "\n".join([text[0], *lines, f"{' ' * indent}{text[-1]}"])


def _wrapped(value: Any, indent: int) -> str:
    """Return the source code of a value; a string that is too long is split between words."""
    if not isinstance(value, str) or indent + len(value) + 3 <= WIDTH:
        return literal(value, indent, indent)
    lines = textwrap.wrap(value, WIDTH - indent - 3, break_long_words=False, break_on_hyphens=False)
    pieces = [*(f"{line} " for line in lines[:-1]), lines[-1]]
    return f"\n{' ' * indent}".join(map(quoted, pieces))


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
    """Return the source code of a string, in double quotes unless it contains some.

    Characters that cannot be printed, such as undecodable bytes of a path, become escapes.
    """
    code = repr(text) if text.isprintable() else ascii(text)
    if code[0] == "'" and '"' not in code:
        return f'"{code[1:-1]}"'
    return code


def path_lines(name: str, path: object, comment: str = "") -> list[str]:
    """Return the lines that set a path, with the comment behind it or, if too long, above it."""
    text = quoted(str(path))
    line = f"{name} = Path({text})"
    with_comment = f"{line}  # {comment}" if comment else line
    if len(with_comment) <= WIDTH:
        return [with_comment]
    above = [f"# {comment[0].upper()}{comment[1:]}."] if comment else []
    if len(line) <= WIDTH:
        return [*above, line]
    return [*above, f"{name} = Path(", f"    {text}", ")"]

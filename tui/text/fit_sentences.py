"""Choosing among shorter and longer forms of sentences so that they fit into two lines."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

LINES = 2

FINDING = 12
"""The weight of a clause about a problem: the other clauses are shortened first."""


@dataclass(frozen=True)
class Clause:
    """One statement in several lengths."""

    forms: tuple[str, ...]
    """From the longest to the shortest; an empty form omits the clause."""
    weight: int = 3
    """The cost of using the next shorter form, relative to the other clauses."""


def fit_sentences(clauses: list[Clause], width: int) -> list[str]:
    """Return the clauses as at most two lines, shortened as cheaply as possible.

    Args:
        clauses: The statements in order.
        width: Cells per line.
    """
    return list(_fit(tuple(clauses), width))


@lru_cache(maxsize=256)
def _fit(clauses: tuple[Clause, ...], width: int) -> list[str]:

    def cost(choice: tuple[int, ...]) -> int:
        return sum(form * clause.weight for form, clause in zip(choice, clauses, strict=True))

    lines: list[str] = []
    for choice in sorted(product(*(range(len(clause.forms)) for clause in clauses)), key=cost):
        forms = (clause.forms[form] for form, clause in zip(choice, clauses, strict=True))
        text = " ".join(form for form in forms if form)
        if lines and len(text) > LINES * width:
            continue
        lines = _wrap(text, width)
        if len(lines) <= LINES:
            return lines
    # Not even the shortest forms fit: keep the first clauses, which are the most important.
    for kept in range(len(clauses) - 1, 0, -1):
        forms = (clause.forms[-1] for clause in clauses[:kept])
        lines = _wrap(" ".join(form for form in forms if form), width)
        if len(lines) <= LINES:
            return lines
    shortened = textwrap.shorten(" ".join(lines[LINES - 1 :]), max(2, width), placeholder="…")
    return [line[:width] for line in (*lines[: LINES - 1], shortened)]


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(1, width), break_on_hyphens=False)

"""Things to say, each in several lengths, fitted into two lines."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

LINES = 2

FINDING = 12
"""The weight of what is out of order: it is said at length and the rest gives way."""


@dataclass(frozen=True)
class Clause:
    """One thing to say."""

    forms: tuple[str, ...]
    """From the longest to the shortest; an empty one leaves it out."""
    weight: int = 3
    """How much it costs to say it a form shorter, against the others."""


def fit_sentences(clauses: list[Clause], width: int) -> list[str]:
    """The clauses in the longest forms that fit two lines, by what it costs to shorten each."""
    return list(_fitted(tuple(clauses), width))


@lru_cache(maxsize=256)
def _fitted(clauses: tuple[Clause, ...], width: int) -> list[str]:

    def cost(choice: tuple[int, ...]) -> int:
        return sum(form * clause.weight for form, clause in zip(choice, clauses, strict=True))

    last: list[str] = []
    for choice in sorted(product(*(range(len(clause.forms)) for clause in clauses)), key=cost):
        said = (clause.forms[form] for form, clause in zip(choice, clauses, strict=True))
        text = " ".join(part for part in said if part)
        if last and len(text) > LINES * width:
            continue
        last = _wrapped(text, width)
        if len(last) <= LINES:
            return last
    # Not even the shortest forms fit: the first things said are the ones that matter most.
    for kept in range(len(clauses) - 1, 0, -1):
        said = (clause.forms[-1] for clause in clauses[:kept])
        last = _wrapped(" ".join(part for part in said if part), width)
        if len(last) <= LINES:
            return last
    shortened = textwrap.shorten(" ".join(last[LINES - 1 :]), max(2, width), placeholder="…")
    return [line[:width] for line in (*last[: LINES - 1], shortened)]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(1, width), break_on_hyphens=False)


def capital(text: str) -> str:
    """A sentence's first letter, unless a module's name begins it."""
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if first in _WORDS else text


_WORDS = (
    "all",
    "the",
    "its",
    "parts",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
)

"""The types that options take beyond click's own."""

from __future__ import annotations

from typing import Any

import click

LARGEST = 2**63 - 1
"""The largest whole number that passes to the engine, and that torch takes as a seed."""


def whole_number(least: int) -> click.IntRange:
    """The type of an option that takes a whole number."""
    return click.IntRange(min=least, max=LARGEST)


class Names(click.ParamType):
    """Names with commas between, as a tuple."""

    name = "names"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(part.strip() for part in parts if part.strip())

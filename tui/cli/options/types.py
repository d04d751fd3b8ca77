"""The types that options take beyond click's own."""

from __future__ import annotations

from typing import Any

import click

LARGEST = 2**63 - 1
"""The largest whole number that passes to the engine, and that torch takes as a seed."""


class WholeNumber(click.ParamType):
    """A whole number from the least one on."""

    name = "whole number"

    def __init__(self, least: int) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip()
        try:
            number = int(text)
        except ValueError:
            number = self.least - 1
        if not self.least <= number <= LARGEST:
            self.fail(f"{text!r}: it must be a whole number from {self.least} on.", param, ctx)
        return number


class Number(click.ParamType):
    """A number; its range is checked where all choices are."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = str(value).strip()
        try:
            return float(text)
        except ValueError:
            hint = f", such as {text.replace(',', '.')}" if text.count(",") == 1 else ""
            self.fail(f"{text!r}: it must be a number{hint}.", param, ctx)


NUMBER = Number()


def whole_number(least: int) -> WholeNumber:
    """The type of an option that takes a whole number."""
    return WholeNumber(least)


class Names(click.ParamType):
    """Names with commas between, as a tuple."""

    name = "names"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(part.strip() for part in parts if part.strip())

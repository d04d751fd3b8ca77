"""Option types that click does not have."""

from __future__ import annotations

import os
import stat
from typing import Any

import click

from tl_tui.common.errors import Problem

LARGEST = 2**63 - 1
"""The largest integer that fits the engine's messages and is a valid seed for torch."""


class WholeNumber(click.ParamType):
    """An integer with a minimum."""

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
            self.fail(f"{text!r}: it must be a whole number of at least {self.least}.", param, ctx)
        return number


class Number(click.ParamType):
    """A floating-point number; its range is checked together with the rest of the recipe."""

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


class Names(click.ParamType):
    """Comma-separated names, converted to a tuple."""

    name = "names"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(part.strip() for part in parts if part.strip())


def check_no_pipe(where: str, path: str) -> None:
    """Raise a problem if there is something at a path that is neither a file nor a folder, such as
    the pipe of `<(...)`, which the engine cannot open."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a device"
        raise Problem(f"{where} is {kind}; write its text to a file, and name the file.")


def check_utf8(text: str) -> None:
    """Refuse text that cannot be encoded as UTF-8, which the engine's messages require.

    Raises:
        Problem: The text contains bytes that are not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        shown = text.encode("ascii", "backslashreplace").decode()
        raise Problem(
            f"{shown}: this name is not UTF-8; rename it, or pass a symbolic link to it instead."
        ) from error

"""Options of the commands that open the screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tui.cli.click_sections import Option

SECTION = "Screen"
OPTIONS = (
    click.option(
        "--ascii",
        "ascii_only",
        cls=Option,
        section=SECTION,
        is_flag=True,
        help="Draw with ASCII alone.",
    ),
    click.option(
        "--no-animation",
        cls=Option,
        section=SECTION,
        is_flag=True,
        help="Show the gradient's trail at once instead of its way.",
    ),
    click.option(
        "--theme",
        cls=Option,
        section=SECTION,
        metavar="NAME",
        help="terminal (its own 16 colours), light, high-contrast or red-green-safe; remembered.",
    ),
)


def screen_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what says how the screen is drawn."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function

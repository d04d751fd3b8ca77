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
        help="Draw with ASCII characters only.",
    ),
    click.option(
        "--no-animation",
        cls=Option,
        section=SECTION,
        is_flag=True,
        help="Show the gradient's whole path at once instead of animating it.",
    ),
    click.option(
        "--theme",
        cls=Option,
        section=SECTION,
        metavar="NAME",
        help="Colours: terminal (its own 16 colours), light, high-contrast or red-green-safe; "
        "remembered for the next start.",
    ),
)


def screen_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for drawing the screen to a command."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function

"""Options of the commands whose engine may be on another machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tui.cli.click_sections import Option

SECTION = "Another machine"
HOST = click.option(
    "--host",
    cls=Option,
    section=SECTION,
    metavar="HOST",
    help="The engine, the images and the runs are there, reached by your own ssh; the screen is "
    "here. Paths are those of that machine.",
)
REMOTE_COMMAND = click.option(
    "--remote-command",
    cls=Option,
    section=SECTION,
    metavar="COMMAND",
    help="What runs tl-tui there, if it is not found or is reached through srun; remembered for "
    "this host.",
)


def host_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the machine of its engine."""
    return HOST(REMOTE_COMMAND(function))

"""Options of the commands whose engine may run on another machine."""

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
    help="Machine, as ssh knows it, that has the images and runs the engine; the screen stays "
    "here. All paths belong to that machine.",
)
REMOTE_COMMAND = click.option(
    "--remote-command",
    cls=Option,
    section=SECTION,
    metavar="COMMAND",
    help="Command that starts tl-tui on the host, if tl-tui is not on its PATH or needs srun; "
    "remembered per host.",
)


def host_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for an engine on another machine to a command."""
    return HOST(REMOTE_COMMAND(function))

"""Options of the commands that apply the model of a finished run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tui.cli.click_sections import Option
from tui.cli.options.types import WholeNumber, check_utf8

SECTION = "Model"


def checked_text(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return a value unchanged if it is UTF-8, as the engine's messages require; else refuse it."""
    if value is not None:
        option = parameter.opts[0] if isinstance(parameter, click.Option) else ""
        check_utf8(f"{option} {value}".strip())
    return value


RUN = click.argument("run", metavar="RUN", callback=checked_text)
"""A run: its directory, its name, or the beginning of its name."""
CHECKPOINT = click.option(
    "--checkpoint",
    cls=Option,
    section=SECTION,
    metavar="NAME",
    default="best",
    callback=checked_text,
    help="Weights to use: best (default; last if there is no best one), last, or start-N.",
)
DEVICE = click.option(
    "--device",
    cls=Option,
    section=SECTION,
    metavar="DEVICE",
    default="auto",
    callback=checked_text,
    help="Device to use: auto (default), cpu, cuda, cuda:N or mps.",
)
BATCH_SIZE = click.option(
    "--batch-size",
    cls=Option,
    section=SECTION,
    metavar="N",
    type=WholeNumber(1),
    default=32,
    help="Images per batch; 32 by default. It changes results only by rounding.",
)


def inference_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the checkpoint, device and batch size options to a command."""
    for option in (BATCH_SIZE, DEVICE, CHECKPOINT):
        function = option(function)
    return function

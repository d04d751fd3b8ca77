"""Options of the commands that ask a run's model about images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tui.cli.click_sections import Option
from tui.cli.options import check_name
from tui.cli.options.types import whole_number

SECTION = "Model"


def as_text(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse a value that is no text, for it goes to the engine as one."""
    if value is not None:
        option = parameter.opts[0] if isinstance(parameter, click.Option) else ""
        check_name(f"{option} {value}".strip())
    return value


RUN = click.argument("run", metavar="RUN", callback=as_text)
"""A run's directory, its name, or the beginning of that."""
CHECKPOINT = click.option(
    "--checkpoint",
    cls=Option,
    section=SECTION,
    metavar="NAME",
    default="best",
    callback=as_text,
    help="best (the default; the last one if there is none), last, or start-N.",
)
DEVICE = click.option(
    "--device",
    cls=Option,
    section=SECTION,
    metavar="DEVICE",
    default="auto",
    callback=as_text,
    help="auto (the default), cpu, cuda, cuda:N or mps.",
)
BATCH_SIZE = click.option(
    "--batch-size",
    cls=Option,
    section=SECTION,
    metavar="N",
    type=whole_number(1),
    default=32,
    help="Images at a time; 32 by default. It changes answers by rounding alone.",
)


def inference_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the checkpoint, the device and the batch size."""
    for option in (BATCH_SIZE, DEVICE, CHECKPOINT):
        function = option(function)
    return function

"""`tl-tui resume RUN`: continue a run from a checkpoint."""

from __future__ import annotations

import os
from typing import Any

import click

from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import ResumeRun
from tl_tui.settings.columns import parse_columns
from tui.cli.click_sections import Option, SectionedCommand
from tui.cli.options.types import Names, WholeNumber


@click.command(
    "resume",
    cls=SectionedCommand,
    examples=(
        ("continue to the planned end", "tl-tui resume 20261125-0815"),
        ("ten epochs more than the planned twenty", "tl-tui resume 20261125-0815 --epochs 30"),
        (
            "unfreeze a stage and continue on the screen",
            "tl-tui resume RUN --strategy last-stage --screen",
        ),
    ),
)
@click.argument("run")
@click.option(
    "--epochs",
    cls=Option,
    section="Training length",
    type=WholeNumber(1),
    metavar="N",
    help="Total number of epochs of the run, including those already done; the learning rate "
    "schedule spans all of them.",
)
@click.option(
    "--steps",
    cls=Option,
    section="Training length",
    type=WholeNumber(1),
    metavar="N",
    help="Total number of steps of the run, including those already done; does not change the "
    "learning rate schedule.",
)
@click.option(
    "--checkpoint",
    cls=Option,
    section="Starting point",
    default="last",
    metavar="NAME",
    help="Checkpoint to continue from: last (default), best, or start-N.",
)
@click.option(
    "--strategy",
    cls=Option,
    section="Starting point",
    metavar="STRATEGY",
    help="Train the layers of another strategy from here on.",
)
@click.option(
    "--trainable",
    cls=Option,
    section="Starting point",
    type=Names(),
    metavar="NAMES",
    help="Train other layers from here on: names separated by commas.",
)
@click.option(
    "--data",
    cls=Option,
    section="Data and device",
    type=click.Path(),
    metavar="DIR",
    help="Image folder, if it has moved since.",
)
@click.option(
    "--labels",
    cls=Option,
    section="Data and device",
    type=click.Path(),
    metavar="FILE.csv",
    help="Labels file, if it has moved since.",
)
@click.option(
    "--columns",
    cls=Option,
    section="Data and device",
    metavar="ROLE=NAME,...",
    help="Columns of the labels file, if they have other names now.",
)
@click.option(
    "--device",
    cls=Option,
    section="Data and device",
    metavar="DEVICE",
    help="Device to use instead of the run's.",
)
@click.option(
    "--screen",
    cls=Option,
    section="Output",
    is_flag=True,
    help="Open the run on the screen; training waits for r.",
)
@click.option(
    "--json",
    "as_json",
    cls=Option,
    section="Output",
    is_flag=True,
    help="Print one JSON object per line, as tl-tui train does.",
)
def command(
    run: str, epochs: int | None, steps: int | None, screen: bool, as_json: bool, **rest: Any
) -> int:
    """Continue a run from a checkpoint. On the CPU, or with --deterministic, the results are
    bit-identical to those of an uninterrupted run.

    RUN is the run's directory, its name, or the beginning of its name. After a change of layers or
    device, tl-tui reports which optimizer state was kept and which was dropped.
    """
    if epochs is not None and steps is not None:
        raise Problem("--epochs and --steps: both set where the run ends; leave one of them out.")
    if rest["strategy"] is not None and rest["trainable"] is not None:
        raise Problem(
            "--strategy and --trainable: both set which layers train; leave one of them out."
        )
    from tl_tui.runs.run_reader import config_to_resume

    parse_columns(rest["columns"])
    for name in ("data", "labels"):
        if rest[name] is not None:
            rest[name] = os.path.abspath(rest[name])
    request = ResumeRun(id=1, run=run, epochs=epochs, probe_every=1 if as_json else None, **rest)
    config = config_to_resume(request)  # Reports mistakes before the engine loads torch.
    if screen:
        if as_json or steps is not None:
            raise Problem("--screen excludes --json and --steps; on the screen, r starts training.")
        from tui.cli.commands.open import open_locally

        return open_locally(config, request)
    from tui.cli.commands.train import train_headless

    return train_headless(config, request, steps=steps, as_json=as_json)

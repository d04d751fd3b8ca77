"""`tl-tui resume RUN`: go on from a run's last checkpoint."""

from __future__ import annotations

import os
from typing import Any

import click

from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import ResumeRun
from tl_tui.protocol.config import RunConfig
from tui.cli.click_sections import Option, SectionedCommand
from tui.cli.options.types import Names, WholeNumber


@click.command(
    "resume",
    cls=SectionedCommand,
    examples=(
        ("go on to the end that was asked for", "tl-tui resume 20261125-0815"),
        ("ten epochs more than its twenty", "tl-tui resume 20261125-0815 --epochs 30"),
        (
            "thaw a stage and go on, on the screen",
            "tl-tui resume RUN --strategy last-stage --screen",
        ),
    ),
)
@click.argument("run")
@click.option(
    "--epochs",
    cls=Option,
    section="How long",
    type=WholeNumber(1),
    metavar="N",
    help="Epochs of the run in all, and so the schedule's horizon.",
)
@click.option(
    "--steps",
    cls=Option,
    section="How long",
    type=WholeNumber(1),
    metavar="N",
    help="Steps of the run in all; the schedule stays as it is.",
)
@click.option(
    "--checkpoint",
    cls=Option,
    section="From where",
    default="last",
    metavar="NAME",
    help="last (the default), best, or start-N.",
)
@click.option("--strategy", cls=Option, section="From where", metavar="STRATEGY", help="Another.")
@click.option(
    "--trainable",
    cls=Option,
    section="From where",
    type=Names(),
    metavar="NAMES",
    help="Other layers that train, comma-separated.",
)
@click.option(
    "--data",
    cls=Option,
    section="Where",
    type=click.Path(),
    metavar="DIR",
    help="Where its images are now, if they were moved.",
)
@click.option(
    "--labels",
    cls=Option,
    section="Where",
    type=click.Path(),
    metavar="FILE.csv",
    help="Where its labels file is now.",
)
@click.option("--device", cls=Option, section="Where", metavar="DEVICE", help="Another device.")
@click.option(
    "--screen", cls=Option, section="Output", is_flag=True, help="On the screen, without training."
)
@click.option(
    "--json",
    "as_json",
    cls=Option,
    section="Output",
    is_flag=True,
    help="One JSON object a line, as tl-tui train writes them.",
)
def command(
    run: str, epochs: int | None, steps: int | None, screen: bool, as_json: bool, **rest: Any
) -> int:
    """Go on with a run, bit for bit as if it had never stopped.

    RUN is its directory, its name, or the beginning of that. --epochs and --steps are totals for
    the run. What is asked for besides (other layers, another device) says what of the optimizer's
    state was kept and what was dropped.
    """
    if epochs is not None and steps is not None:
        raise Problem("--epochs and --steps: both set where the run ends; leave one of them out.")
    if rest["strategy"] is not None and rest["trainable"] is not None:
        raise Problem("--strategy and --trainable: both say what trains; leave one of them out.")
    from tl_tui.runs.run_reader import config_to_resume

    for name in ("data", "labels"):
        if rest[name] is not None:
            rest[name] = os.path.abspath(rest[name])
    asked = ResumeRun(id=1, run=run, epochs=epochs, probe_every=1 if as_json else None, **rest)
    config = config_to_resume(asked)  # what is wrong is told before torch is loaded
    if screen:
        if as_json or steps is not None:
            raise Problem("--screen: it trains when you press r; leave --json and --steps out.")
        return _on_the_screen(config, asked)
    from tui.cli.commands.train import train_headless

    return train_headless(config, asked, steps=steps, as_json=as_json)


def _on_the_screen(config: RunConfig, asked: ResumeRun) -> int:
    from tui.cli.commands.open import on_the_screen

    return on_the_screen(config, asked)

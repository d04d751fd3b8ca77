"""`tl-tui train`: train without a screen."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import click
import msgspec

from engine.problem import Problem
from engine.protocol import (
    AnyEvent,
    ImageSkipped,
    RunConfig,
    StepTaken,
    Train,
    TrainEnded,
    Validated,
)

from .. import exit_codes
from ..options import run_options
from ..sectioned_command import Option, SectionedCommand

if TYPE_CHECKING:
    from engine.client import Connection

    from ..train_report import TrainReport


@click.command(
    "train",
    cls=SectionedCommand,
    examples=(
        ("the head alone, on your own images", "tl-tui train flowers/ --steps 200"),
        ("the losses of 50 steps", "tl-tui train --steps 50 --json | jq .loss"),
        (
            "frozen layers in the middle: the gradient passes through them",
            "tl-tui train --steps 5 --trainable layer2,fc",
        ),
    ),
)
@run_options
@click.option(
    "--json",
    "as_json",
    cls=Option,
    section="Output",
    is_flag=True,
    help="One JSON object a line and nothing else; nan and inf are strings.",
)
def command(config: RunConfig, probe_every: int | None, as_json: bool) -> int:
    """Train without a screen, then validate, and say what the last step did to each layer."""
    from .. import headless

    if as_json and probe_every is None:
        config = msgspec.structs.replace(config, probe_every=1)
    report = _report(config.steps or 0, as_json=as_json)

    async def task(connection: Connection, events: AsyncIterator[AnyEvent]) -> int:
        session = await headless.open_session(connection, events, config)
        if session.device_warning and config.device == "auto":
            raise Problem(session.device_warning)  # never on the CPU silently where a GPU is
        report.opened(session)
        connection.send(Train(id=2, steps=config.steps))
        async for event in events:
            match event:
                case StepTaken():
                    report.stepped(event)
                case ImageSkipped():
                    report.skipped(event)
                case Validated(yardstick=False):
                    report.validated(event)
                case TrainEnded():
                    report.ended(event)
                    done = event.reason == "done"
                    return exit_codes.DONE if done else exit_codes.FAILED
        raise AssertionError("the events ended without a reason")

    try:
        return headless.run(task)
    finally:
        report.left()


def _report(steps: int, *, as_json: bool) -> TrainReport:
    from .. import train_report

    if as_json:
        return train_report.JsonLines()
    return train_report.ProgressBar(steps) if sys.stdout.isatty() else train_report.PlainLines()

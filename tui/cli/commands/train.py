"""`tl-tui train`: train without a screen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import click
import msgspec

from tl_tui.common.errors import Problem
from tl_tui.protocol.checks import CrossValidationEnded
from tl_tui.protocol.commands import CrossValidate, ResumeRun, Train
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.training import CheckpointSaved, TrainEnded
from tl_tui.settings.plan import end_of_cycle_and_plan
from tui.cli import exit_codes
from tui.cli.click_sections import Option, SectionedCommand
from tui.cli.options import run_options

if TYPE_CHECKING:
    from tl_tui.connect.client import Connection


@click.command(
    "train",
    cls=SectionedCommand,
    examples=(
        ("the head alone, ten epochs, on your own images", "tl-tui train flowers/"),
        (
            "first the head, then everything, along a cosine",
            "tl-tui train flowers/ --plan lp-ft --epochs 20 --lr-schedule cosine",
        ),
        (
            "how good is the last stage? on five splits of all images",
            "tl-tui train flowers/ --strategy last-stage --folds 5",
        ),
        (
            "a job of a batch queue, at another rate than its file says",
            "tl-tui train --config job.toml --lr 0.003 --json > job.jsonl",
        ),
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
    """Train without a screen, validate after every epoch, keep the best and the last weights.

    Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 end it after a checkpoint; exit code 130, or 75. With
    --folds nothing is kept but the figures.
    """
    if as_json and probe_every is None:
        config = msgspec.structs.replace(config, probe_every=1)
    return train_headless(config, None, steps=config.steps, as_json=as_json)


def train_headless(
    config: RunConfig, resumes: ResumeRun | None, *, steps: int | None, as_json: bool
) -> int:
    """Train without a screen.

    Args:
        config: What the session is, or was, opened with.
        resumes: The run that goes on; None begins one.
        steps: Where it ends; None is the end of schedule or plan.
        as_json: Report in JSON lines.

    Returns:
        The exit code.
    """
    from tui.cli import headless
    from tui.cli.output.train import train_report

    report = train_report(as_json=as_json)
    folds = config.folds is not None and resumes is None

    async def task(connection: Connection, events: AsyncIterator[AnyEvent]) -> int:
        session = await headless.open_session(connection, events, resumes or config)
        if session.device_warning and config.device == "auto":
            raise Problem(session.device_warning)  # never on the CPU silently where a GPU is
        if steps is not None and session.step >= steps:
            raise Problem(
                f"--steps {steps}: the run has taken {session.step} steps already; the number is "
                "of the whole run."
            )
        if resumes is not None and steps is None and not _asks_more(resumes):
            if session.step >= end_of_cycle_and_plan(session.cycle, session.plan):
                raise Problem(
                    f"The run has come to its end, step {session.step}; say how far it is to go, "
                    "--epochs or --steps, both of the whole run."
                )
        report.opened(session)
        if folds:
            assert config.folds is not None
            connection.send(CrossValidate(id=2, folds=config.folds))
        else:
            connection.send(Train(id=2, steps=steps))
        unsaved = False
        async for event in events:
            report.event_received(event)
            match event:
                # Paused means that it was asked to end: the engine's end comes next.
                case CrossValidationEnded(reason="done") if folds:
                    return exit_codes.DONE
                case CheckpointSaved(name="last", failure=failure):
                    unsaved = bool(failure)
                case TrainEnded(reason="done") if not folds:
                    return exit_codes.FAILED if unsaved else exit_codes.DONE
                case TrainEnded(reason="failed") | CrossValidationEnded(reason="failed"):
                    return exit_codes.FAILED
        raise AssertionError("the events ended without a reason")

    code = None
    try:
        code = headless.run(task)
        return code
    finally:
        report.left(code)


def _asks_more(resumes: ResumeRun) -> bool:
    """Other layers were asked for: a new cycle begins with them."""
    return resumes.strategy is not None or resumes.trainable is not None

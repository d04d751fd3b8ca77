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
from tui.cli.options.run_options import run_options

if TYPE_CHECKING:
    from tl_tui.connect.client import Connection


@click.command(
    "train",
    cls=SectionedCommand,
    examples=(
        ("ten epochs of the head on your own images", "tl-tui train flowers/"),
        (
            "first the head, then all layers, with a cosine schedule",
            "tl-tui train flowers/ --plan lp-ft --epochs 20 --lr-schedule cosine",
        ),
        (
            "cross-validate the last stage on five splits of all images",
            "tl-tui train flowers/ --strategy last-stage --folds 5",
        ),
        (
            "a batch job with another learning rate than its file has",
            "tl-tui train --config job.toml --lr 0.003 --json > job.jsonl",
        ),
        ("the losses of 50 steps", "tl-tui train --steps 50 --json | jq .loss"),
        (
            "frozen layers between trainable ones: the gradient passes through them",
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
    help="Print one JSON object per line and nothing else; nan and inf are strings.",
)
def command(config: RunConfig, probe_every: int | None, as_json: bool) -> int:
    """Train without a screen, validate after every epoch, and save the best and the last weights.

    Ctrl-C (exit code 130) and SIGTERM, SIGHUP and SIGUSR1 (exit code 75) end the run after saving a
    checkpoint. With --folds only the results are saved, no weights.
    """
    if as_json and probe_every is None:
        config = msgspec.structs.replace(config, probe_every=1)
    return train_headless(config, None, steps=config.steps, as_json=as_json)


def train_headless(
    config: RunConfig, resumes: ResumeRun | None, *, steps: int | None, as_json: bool
) -> int:
    """Train without a screen.

    Args:
        config: The configuration of the new run, or of the run that is resumed.
        resumes: The run to resume; None starts a new run.
        steps: The total number of steps; None trains to the end of the schedule or plan.
        as_json: Whether to report in JSON lines.

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
            raise Problem(session.device_warning)  # There is a GPU that torch cannot use.
        if steps is not None and session.step >= steps:
            raise Problem(
                f"--steps {steps}: the run has already taken {session.step} steps; "
                "give the number of steps of the whole run."
            )
        if resumes is not None and steps is None and not _changes_layers(resumes):
            if session.step >= end_of_cycle_and_plan(session.cycle, session.plan):
                raise Problem(
                    f"The run has come to its end, step {session.step}; set a higher total with "
                    "--epochs or --steps."
                )
        report.opened(session, config.folds if folds else None)
        if folds:
            assert config.folds is not None
            connection.send(CrossValidate(id=2, folds=config.folds))
        else:
            connection.send(Train(id=2, steps=steps))
        unsaved = False
        async for event in events:
            report.event_received(event)
            match event:
                # A reason of "paused" follows a signal; the engine ends next.
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
        report.close(code)


def _changes_layers(resumes: ResumeRun) -> bool:
    """Return whether a run is resumed with other trainable layers; the learning-rate schedule then
    starts again."""
    return resumes.strategy is not None or resumes.trainable is not None

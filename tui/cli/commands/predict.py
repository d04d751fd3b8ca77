"""`tl-tui predict`: what a run's model takes images for."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import click

from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import Predict
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.inference import ImagesPredicted, InferenceBegan
from tui.cli import exit_codes
from tui.cli.click_sections import Option, SectionedCommand
from tui.cli.options.inference import RUN, inference_options
from tui.cli.options.types import WholeNumber

if TYPE_CHECKING:
    from tl_tui.connect.client import Connection
    from tui.cli.output.predictions import Lines


@click.command(
    "predict",
    cls=SectionedCommand,
    examples=(
        ("one image", "tl-tui predict 20260801 snack.jpg"),
        ("which of these should be labelled next?", "tl-tui predict RUN new/ --uncertain-first"),
        ("for a spreadsheet", "tl-tui predict RUN new/ --csv > new.csv"),
        ("for a program", "tl-tui predict RUN new/ --json | jq -r .class"),
    ),
)
@RUN
@click.argument("images", metavar="IMAGE|FOLDER...", nargs=-1, required=True)
@click.option(
    "--json",
    "as_json",
    cls=Option,
    section="Output",
    is_flag=True,
    help="One JSON object a line: path, class, probability, and the probability of every class.",
)
@click.option(
    "--csv",
    "as_csv",
    cls=Option,
    section="Output",
    is_flag=True,
    help="The same as CSV, with a header.",
)
@click.option(
    "--top",
    cls=Option,
    section="Output",
    metavar="K",
    type=WholeNumber(1),
    help="Only the K most probable classes: 3 in words by default, all in JSON and CSV.",
)
@click.option(
    "--uncertain-first",
    cls=Option,
    section="Output",
    is_flag=True,
    help="In the order in which to label them: the one whose class is least probable first.",
)
@inference_options
def command(
    run: str,
    images: tuple[str, ...],
    as_json: bool,
    as_csv: bool,
    top: int | None,
    uncertain_first: bool,
    checkpoint: str,
    device: str,
    batch_size: int,
) -> int:
    """Say what the model of a run (its name, or the beginning of it) takes images for. Folders are
    looked through with all that is in them.

    Files that cannot be read are named on standard error; the exit code is then 1."""
    from tui.cli import headless
    from tui.cli.output.predictions import CsvRows, JsonObjects, LeastCertainFirst, Words
    from tui.cli.output.progress_bar import InferenceProgressBar

    if as_json and as_csv:
        raise Problem("--json and --csv: choose one of them.")
    asked = Predict(
        id=1,
        run=run,
        paths=tuple(os.fsencode(image) for image in images),
        checkpoint=checkpoint,
        device=device,
        batch_size=batch_size,
    )
    form = JsonObjects if as_json else CsvRows if as_csv else Words
    waiting = LeastCertainFirst() if uncertain_first else None

    async def task(connection: Connection, events: AsyncIterator[AnyEvent]) -> int:
        lines: Lines | None = None
        with InferenceProgressBar(wanted=len(images) > 1 or os.path.isdir(images[0])) as bar:
            async for event in headless.errand(connection, events, asked):
                match event:
                    case InferenceBegan():
                        bar.began(event.images)
                        for note in event.notes:
                            bar.err(note)
                        lines = form(event.classes, top)
                        for line in lines.head():
                            bar.out(line)
                    case ImagesPredicted() if lines is not None:
                        bar.left_out(event.unreadable)
                        if waiting is not None:
                            for one in event.images:
                                waiting.add(one.path, one.probabilities)
                        elif event.images:
                            rows = [lines.line(one.path, one.probabilities) for one in event.images]
                            bar.out("\n".join(rows))
                        bar.advanced(len(event.images) + len(event.unreadable))
            if waiting is not None and lines is not None:
                for path, probabilities in waiting.rows():
                    bar.out(lines.line(path, probabilities))
            return exit_codes.FAILED if bar.unreadable else exit_codes.DONE

    return headless.run(task)

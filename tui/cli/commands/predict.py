"""`tl-tui predict`: classify images with a trained run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import click

from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import Predict
from tl_tui.protocol.dataset import ValuesClipped
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.inference import ImagesPredicted, InferenceBegan
from tui.cli import exit_codes
from tui.cli.click_sections import Option, SectionedCommand
from tui.cli.options.inference import RUN, inference_options
from tui.cli.options.types import WholeNumber
from tui.text.clipped_values import clipped_sentence

if TYPE_CHECKING:
    from tl_tui.connect.client import Connection
    from tui.cli.output.predictions import PredictionLines


@click.command(
    "predict",
    cls=SectionedCommand,
    examples=(
        ("a single image", "tl-tui predict 20260801 snack.jpg"),
        ("which of these should be labelled next?", "tl-tui predict RUN new/ --uncertain-first"),
        ("for a spreadsheet", "tl-tui predict RUN new/ --csv > new.csv"),
        ("as JSON for other programs", "tl-tui predict RUN new/ --json | jq -r .class"),
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
    help="Print one JSON object per line with the path, class, its probability, and the "
    "probabilities of all classes.",
)
@click.option(
    "--csv",
    "as_csv",
    cls=Option,
    section="Output",
    is_flag=True,
    help="Print the same as CSV with a header.",
)
@click.option(
    "--top",
    cls=Option,
    section="Output",
    metavar="K",
    type=WholeNumber(1),
    help="Print only the K most probable classes; by default 3 as text, all in JSON and CSV.",
)
@click.option(
    "--uncertain-first",
    cls=Option,
    section="Output",
    is_flag=True,
    help="Sort by the probability of the predicted class, the lowest first: the order in which to "
    "label the images.",
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
    """Classify images with the model of a run. Folders are searched recursively.

    RUN is the run's directory, its name, or the beginning of its name. Unreadable files are listed
    on standard error and make the exit code 1."""
    from tui.cli import headless
    from tui.cli.output.predictions import CsvLines, JsonLines, LeastCertainFirst, TextLines
    from tui.cli.output.progress_bar import InferenceProgressBar
    from tui.text.dataset import left_out_sentence

    if as_json and as_csv:
        raise Problem("--json and --csv cannot be used together; choose one.")
    request = Predict(
        id=1,
        run=run,
        paths=tuple(os.fsencode(image) for image in images),
        checkpoint=checkpoint,
        device=device,
        batch_size=batch_size,
    )
    line_format = JsonLines if as_json else CsvLines if as_csv else TextLines
    unsorted = LeastCertainFirst() if uncertain_first else None

    async def task(connection: Connection, events: AsyncIterator[AnyEvent]) -> int:
        lines: PredictionLines | None = None
        with InferenceProgressBar(enabled=len(images) > 1 or os.path.isdir(images[0])) as bar:
            async for event in headless.run_job(connection, events, request):
                match event:
                    case InferenceBegan():
                        bar.set_total(event.images)
                        for note in event.notes:
                            bar.print_error(note)
                        if event.left_out:
                            bar.print_error(left_out_sentence(event.left_out))
                        lines = line_format(event.classes, top)
                        for line in lines.header():
                            bar.print_line(line)
                    case ImagesPredicted() if lines is not None:
                        bar.report_unreadable(event.unreadable)
                        if unsorted is not None:
                            for image in event.images:
                                unsorted.add(image.path, image.probabilities)
                        elif event.images:
                            rows = [
                                lines.line(image.path, image.probabilities)
                                for image in event.images
                            ]
                            bar.print_line("\n".join(rows))
                        bar.advance(len(event.images) + len(event.unreadable))
                    case ValuesClipped():
                        bar.print_error(clipped_sentence(event))
            if unsorted is not None and lines is not None:
                for path, probabilities in unsorted.rows():
                    bar.print_line(lines.line(path, probabilities))
            return exit_codes.FAILED if bar.unreadable else exit_codes.DONE

    return headless.run(task)

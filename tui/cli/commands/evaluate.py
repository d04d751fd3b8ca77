"""`tl-tui evaluate`: evaluate a run on labelled images."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import EvaluateData
from tl_tui.protocol.dataset import ValuesClipped
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.inference import (
    DataEvaluated,
    InferenceBegan,
    InferenceProgressed,
    UnreadableFile,
)
from tl_tui.settings.columns import parse_columns
from tui.cli import exit_codes
from tui.cli.click_sections import Option, SectionedCommand
from tui.cli.options.inference import RUN, checked_text, inference_options
from tui.cli.options.types import check_no_pipe
from tui.text.clipped_values import clipped_sentence

if TYPE_CHECKING:
    from tl_tui.connect.client import Connection


@click.command(
    "evaluate",
    cls=SectionedCommand,
    examples=(
        ("images that the run was not trained on", "tl-tui evaluate 20260801 --data flowers/test"),
        ("the accuracy alone", "tl-tui evaluate RUN --data new/ --json | jq .accuracy"),
        ("for a report", "tl-tui evaluate RUN --data test/ --picture test.svg"),
    ),
)
@RUN
@click.option(
    "--data",
    cls=Option,
    section="Images",
    metavar="DIR",
    callback=checked_text,
    help="Image folder: DIR/CLASS/ with the run's class names, or the same in DIR/val/ or "
    "DIR/test/.",
)
@click.option(
    "--labels",
    cls=Option,
    section="Images",
    metavar="FILE.csv",
    callback=checked_text,
    help="CSV file with a path and a label in each row instead of class folders; its rows marked "
    "test are used, else those marked val, else all.",
)
@click.option(
    "--columns",
    cls=Option,
    section="Images",
    metavar="ROLE=NAME,...",
    callback=checked_text,
    help="Columns of the labels file, as in `tl-tui train`; by default those of the run's labels "
    "file if it is the same one, otherwise the usual names.",
)
@click.option(
    "--json", "as_json", cls=Option, section="Output", is_flag=True, help="Print one JSON object."
)
@click.option(
    "--per-image-csv",
    cls=Option,
    section="Output",
    metavar="FILE",
    callback=checked_text,
    help="Also write a CSV file with a row per image: path, label, predicted, probability (of the "
    "predicted class), loss.",
)
@click.option(
    "--confusion-csv",
    cls=Option,
    section="Output",
    metavar="FILE",
    callback=checked_text,
    help="Also write the confusion matrix as a CSV file: a row per class, a column per predicted "
    "class.",
)
@click.option(
    "--picture",
    cls=Option,
    section="Output",
    metavar="FILE",
    callback=checked_text,
    help="Also draw the confusion matrix and the reliability diagram, as FILE.svg or FILE.png; "
    "needs the extra pictures.",
)
@click.option(
    "--force", cls=Option, section="Output", is_flag=True, help="Overwrite existing files."
)
@inference_options
def command(
    run: str,
    data: str | None,
    labels: str | None,
    columns: str | None,
    as_json: bool,
    per_image_csv: str | None,
    confusion_csv: str | None,
    picture: str | None,
    force: bool,
    checkpoint: str,
    device: str,
    batch_size: int,
) -> int:
    """Evaluate the model of a run on labelled images: the accuracy, precision, recall, F1 and ROC
    AUC, also per class; the calibration of the probabilities; the confusion matrix, and the images
    with the most confident wrong predictions.

    RUN is the run's directory, its name, or the beginning of its name. Unreadable files are listed
    on standard error and make the exit code 1."""
    from tui.cli import headless
    from tui.cli.output import pictures
    from tui.cli.output.evaluation import print_json, print_report
    from tui.cli.output.evaluation_csv import PerImageCsv, write_confusion
    from tui.cli.output.output_file import OutputFile
    from tui.cli.output.progress_bar import InferenceProgressBar

    if data is None and labels is None:
        raise Problem("--data is missing: name a folder that contains one folder per class.")
    if columns is not None and labels is None:
        raise Problem("--columns: it names columns of a labels file; add --labels.")
    parse_columns(columns)
    if labels is not None:
        check_no_pipe(f"--labels {labels}", labels)
    names = {
        "--per-image-csv": per_image_csv,
        "--confusion-csv": confusion_csv,
        "--picture": picture,
    }
    files = {
        option: OutputFile(option, name, force=force)
        for option, name in names.items()
        if name is not None
    }
    if len({file.path.resolve() for file in files.values()}) < len(files):
        raise Problem(f"{' and '.join(files)} name the same file; choose different ones.")
    if "--picture" in files:
        pictures.check(files["--picture"])
    request = EvaluateData(
        id=1,
        run=run,
        data=data,
        labels=labels,
        columns=columns,
        checkpoint=checkpoint,
        device=device,
        batch_size=batch_size,
        per_image="--per-image-csv" in files,
    )

    async def task(connection: Connection, events: AsyncIterator[AnyEvent]) -> int:
        began: InferenceBegan | None = None
        result: DataEvaluated | None = None
        unreadable: list[UnreadableFile] = []
        done = 0
        with ExitStack() as cleanup:
            rows: PerImageCsv | None = None
            if "--per-image-csv" in files:
                rows = PerImageCsv(files["--per-image-csv"])
                cleanup.callback(rows.discard)
            with InferenceProgressBar() as bar:
                async for event in headless.run_job(connection, events, request):
                    match event:
                        case InferenceBegan():
                            began = event
                            bar.set_total(event.images)
                        case InferenceProgressed():
                            bar.report_unreadable(event.unreadable)
                            unreadable += event.unreadable
                            bar.advance(event.done - done)
                            done = event.done
                            if rows is not None and began is not None:
                                rows.add(began.classes, event.images)
                        case ValuesClipped():
                            bar.print_error(clipped_sentence(event))
                        case DataEvaluated():
                            result = event
            assert began is not None and result is not None
            try:  # before the report, whose reader may close the pipe; it is printed in any case
                if rows is not None:
                    rows.finish()
                if "--confusion-csv" in files:
                    write_confusion(files["--confusion-csv"], began.classes, result)
                if "--picture" in files:
                    pictures.draw_evaluation(files["--picture"], began, result)
            finally:
                if as_json:
                    print_json(began, result, unreadable)
                else:
                    print_report(began, result, len(unreadable))
        return exit_codes.FAILED if unreadable else exit_codes.DONE

    return headless.run(task)

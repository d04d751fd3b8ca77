"""`tl-tui runs`: every run there is, newest first."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tui.cli import exit_codes
from tui.cli.click_sections import Option, SectionedCommand


@click.command(
    "runs",
    cls=SectionedCommand,
    examples=(
        ("the runs of this machine", "tl-tui runs"),
        ("which of them is the best?", "tl-tui runs --json | jq -s 'max_by(.best.accuracy)'"),
    ),
)
@click.argument("folder", required=False, metavar="[FOLDER]")
@click.option(
    "--json", "as_json", cls=Option, section="Output", is_flag=True, help="One JSON object a run."
)
def command(folder: str | None, as_json: bool) -> int:
    """List runs: state, model, data, steps, best accuracy, size.

    FOLDER holds run directories; where they go by default if none is given. A run's name, or the
    beginning of it, is enough for tl-tui show, resume, export, predict and evaluate.
    """
    from tl_tui.common import json_codec
    from tl_tui.common.errors import Problem
    from tl_tui.runs.journal_reader import RunProblem
    from tl_tui.runs.journal_writer import runs_directory
    from tl_tui.runs.run_reader import Run, list_runs
    from tui.text.runs import run_as_json

    place = Path(folder) if folder is not None else runs_directory()
    if folder is not None and not place.is_dir():
        raise Problem(f"{folder}: there is no such folder.")
    runs: list[Run] = []
    damaged = False
    for found in list_runs(place):
        if isinstance(found, RunProblem):
            print(f"tl-tui: {found}", file=sys.stderr)
            damaged = True
        elif as_json:
            print(json_codec.dumps(run_as_json(found)), flush=True)
        else:
            runs.append(found)
    if not as_json and runs:
        _print_table(runs)
    elif not as_json and not damaged:
        print(f"There are no runs in {place} yet; a first step, or tl-tui train, begins one.")
    return exit_codes.FAILED if damaged else exit_codes.DONE


def _print_table(runs: list) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tui.cli.output.train.sentences import printable
    from tui.cli.printing import console
    from tui.text.runs import best_words, data_of, size_words, when_words

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", overflow="fold")
    table.add_column("state")
    table.add_column("model")
    table.add_column("data", overflow="ellipsis", no_wrap=True)
    table.add_column("steps", justify="right")
    table.add_column("best")
    table.add_column("size", justify="right")
    table.add_column("last written")
    for run in runs:
        table.add_row(
            Text(printable(run.name)),
            run.state,
            str(run.config.get("arch")),
            Text(printable(Path(data_of(run)).name)),
            f"{run.steps:,}",
            best_words(run),
            size_words(run.bytes),
            when_words(run.changed),
        )
    console().print(table)

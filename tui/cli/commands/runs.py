"""`tl-tui runs`: list all runs, the newest first."""

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
        ("the runs on this machine", "tl-tui runs"),
        ("which one has the best accuracy?", "tl-tui runs --json | jq -s 'max_by(.best.accuracy)'"),
    ),
)
@click.argument("folder", required=False, metavar="[FOLDER]")
@click.option(
    "--json",
    "as_json",
    cls=Option,
    section="Output",
    is_flag=True,
    help="Print one JSON object per run.",
)
def command(folder: str | None, as_json: bool) -> int:
    """List runs with their state, model, data, steps, best accuracy and size.

    FOLDER contains the run directories; by default it is the folder where tl-tui saves them. The
    other commands accept a run's name or the beginning of it.
    """
    from tl_tui.common import json_codec
    from tl_tui.common.errors import Problem
    from tl_tui.runs.journal_reader import RunProblem
    from tl_tui.runs.journal_writer import runs_directory
    from tl_tui.runs.run_reader import Run, list_runs
    from tui.text.runs import run_as_json

    directory = Path(folder) if folder is not None else runs_directory()
    if folder is not None and not directory.is_dir():
        raise Problem(f"{folder}: there is no such folder.")
    runs: list[Run] = []
    damaged = False
    for run in list_runs(directory):
        if isinstance(run, RunProblem):
            print(f"tl-tui: {run}", file=sys.stderr)
            damaged = True
        elif as_json:
            print(json_codec.dumps(run_as_json(run)), flush=True)
        else:
            runs.append(run)
    if not as_json and runs:
        _print_table(runs)
    elif not as_json and not damaged:
        print(f"There are no runs in {directory} yet; tl-tui train starts one.")
    return exit_codes.FAILED if damaged else exit_codes.DONE


def _print_table(runs: list) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tui.cli.output.names import printable
    from tui.cli.printing import console
    from tui.text.format import format_bytes
    from tui.text.runs import best_text, data_of, date_text

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
            best_text(run),
            format_bytes(run.bytes),
            date_text(run.changed),
        )
    console().print(table)

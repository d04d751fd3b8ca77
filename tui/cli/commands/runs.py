"""`tl-tui runs`: list all runs, the newest first."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tui.cli import exit_codes
from tui.cli.click_sections import Option, SectionedCommand

if TYPE_CHECKING:
    from tl_tui.runs.run_reader import Run


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
    from tl_tui.common.errors import Problem
    from tl_tui.runs.journal_reader import RunProblem
    from tl_tui.runs.journal_writer import runs_directory
    from tl_tui.runs.run_reader import list_runs
    from tui.cli.output.names import printable
    from tui.cli.printing import print_json
    from tui.text.runs import run_as_json

    directory = Path(folder) if folder is not None else runs_directory()
    if folder is not None and not directory.is_dir():
        raise Problem(f"{folder}: there is no such folder.")
    runs: list[Run] = []
    damaged = False
    for run in list_runs(directory):
        if isinstance(run, RunProblem):
            print(f"tl-tui: {printable(str(run))}", file=sys.stderr)
            damaged = True
        elif as_json:
            print_json(run_as_json(run))
        else:
            runs.append(run)
    if not as_json and runs:
        _print_table(runs)
    elif not as_json and not damaged:
        print(f"There are no runs in {directory} yet; tl-tui train starts one.")
    return exit_codes.FAILED if damaged else exit_codes.DONE


def _print_table(runs: Sequence[Run]) -> None:
    from tui.cli.output.names import printable
    from tui.cli.output.table import Column, fitting_columns, output_width, table_lines
    from tui.cli.printing import suit_terminal, unbroken_lines
    from tui.text.format import format_bytes
    from tui.text.runs import data_of, date_text, result_text

    columns = [
        Column("run", [printable(run.name) for run in runs]),
        Column("state", [run.state for run in runs], rank=2),
        Column("steps", [f"{run.steps:,}" for run in runs], rank=3, right=True),
        Column("best", [result_text(run) for run in runs], rank=1),
        Column("last written", [date_text(run.changed) for run in runs], rank=4),
        Column("data", [printable(Path(data_of(run)).name) for run in runs], rank=5),
        Column("model", [printable(str(run.config.get("arch"))) for run in runs], rank=6),
        Column("size", [format_bytes(run.bytes) for run in runs], rank=7, right=True),
    ]
    suit_terminal(sys.stdout)
    width = output_width()
    shown = fitting_columns(columns, width)
    for line in table_lines(shown):
        print(line)
    if len(shown) < len(columns):
        hidden = ", ".join(column.heading for column in columns if column not in shown)
        sentence = f"A wider terminal, or a pipe, also shows: {hidden}."
        print("", *unbroken_lines(sentence, width), sep="\n")

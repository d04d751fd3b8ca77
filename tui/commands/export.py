"""`tl-tui export`: a run for those who have no tl-tui."""

from __future__ import annotations

import click

from ..sectioned_command import Option, SectionedCommand
from .export_script import export_script


@click.command(
    "export",
    cls=SectionedCommand,
    examples=(
        ("the run as one plain PyTorch script", "tl-tui export 20260801 -o train.py"),
        ("and see that it trains the same", "tl-tui export RUN -o train.py --check"),
    ),
)
@click.argument("run", metavar="RUN")
@click.option(
    "-o",
    "--output",
    "script",
    cls=Option,
    section="Script",
    metavar="FILE",
    required=True,
    help="The training script to be written.",
)
@click.option(
    "--check",
    cls=Option,
    section="Script",
    is_flag=True,
    help="Run it, and compare its losses with the journal's.",
)
@click.option(
    "--data",
    cls=Option,
    section="Script",
    metavar="DIR",
    help="The image folder, if it has moved since.",
)
@click.option(
    "--force", cls=Option, section="Script", is_flag=True, help="Write over what is there."
)
def command(run: str, script: str, check: bool, data: str | None, force: bool) -> int:
    """Write a run (its name, or the beginning of it) as a plain PyTorch training script, which
    needs no tl-tui."""
    return export_script(run, script, check=check, data=data, force=force)

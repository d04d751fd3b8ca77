"""`tl-tui`: the workbench on the screen."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from engine.problem import Problem
from engine.protocol import ResumeRun, RunConfig

from ..options import run_options
from ..sectioned_command import Option, SectionedCommand

if TYPE_CHECKING:
    from engine.client import EngineProcess

LEAVE_S = 3.0
"""How long the engine may take to end before the user is told what it still does."""
SAVE_S = 75.0
"""How long in all; it ends itself earlier."""


@click.command("open", cls=SectionedCommand, hidden=True)
@run_options
@click.option(
    "--ascii",
    "ascii_only",
    cls=Option,
    section="Screen",
    is_flag=True,
    help="Draw with ASCII alone.",
)
@click.option(
    "--no-animation",
    cls=Option,
    section="Screen",
    is_flag=True,
    help="Show the gradient's trail at once instead of its way.",
)
@click.option(
    "--theme",
    cls=Option,
    section="Screen",
    metavar="NAME",
    help="terminal (its own 16 colours), light, high-contrast or red-green-safe; remembered.",
)
def command(
    config: RunConfig,
    probe_every: int | None,
    ascii_only: bool,
    no_animation: bool,
    theme: str | None,
) -> int:
    """Open the workbench."""
    return on_the_screen(
        config, None, ascii_only=ascii_only, animation=not no_animation, theme=theme
    )


def on_the_screen(
    config: RunConfig,
    resumes: ResumeRun | None,
    *,
    ascii_only: bool = False,
    animation: bool = True,
    theme: str | None = None,
) -> int:
    """Show the workbench until the user leaves.

    Args:
        config: What the session is, or was, opened with.
        resumes: The run that goes on; None begins one.
        ascii_only: Draw with ASCII alone.
        animation: Replay backward passes.
        theme: A palette's name; None is the one of last time.

    Returns:
        The exit code.
    """
    if not (os.isatty(0) and os.isatty(1)):
        raise Problem(
            "The screen needs a terminal, and this is a pipe or a file; "
            "use tl-tui train or tl-tui layers, with --json for programs."
        )
    from engine.client import EngineProcess

    # The engine first: it loads torch while the screen is being loaded and drawn.
    process = EngineProcess.start()
    try:
        from ..terminal import look

        terminal = look(ascii_only=ascii_only)
        from ..app import run_app
        from ..process_link import ProcessLink
        from ..theme import PALETTES

        if theme is not None and theme not in PALETTES:
            raise Problem(f"--theme {theme}: choose one of {', '.join(PALETTES)}.")
        link = ProcessLink(process)
        try:
            return run_app(
                link,
                config,
                resumes=resumes,
                terminal=terminal,
                animation=animation,
                theme=theme,
            )
        finally:
            process = link.process  # another one, if the first was restarted
    finally:
        _leave(process)


def _leave(process: EngineProcess) -> None:
    """Let the engine end, which saves what was trained."""
    try:
        if not process.leave(LEAVE_S):
            print("The engine is ending; ctrl+c ends it at once.", file=sys.stderr)
            process.leave(SAVE_S)
    finally:
        process.kill()

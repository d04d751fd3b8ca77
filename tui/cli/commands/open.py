"""`tl-tui` without a command: the workbench on the screen."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from tl_tui.common.errors import Problem
from tl_tui.common.plain_text import write_ascii
from tl_tui.protocol.config import RunConfig
from tui.cli.click_sections import SectionedCommand
from tui.cli.options.host import host_options
from tui.cli.options.run_options import run_options
from tui.cli.options.screen import screen_options

if TYPE_CHECKING:
    from tl_tui.connect.engine_link import EngineLink
    from tl_tui.protocol.commands import ResumeRun
    from tui.app.screen_options import ScreenOptions


@click.command("open", cls=SectionedCommand, hidden=True)
@run_options
@screen_options
@host_options
def command(
    config: RunConfig,
    probe_every: int | None,
    host: str | None,
    remote_command: str | None,
    ascii_only: bool,
    no_animation: bool,
    theme: str | None,
) -> int:
    """Open the workbench."""
    animation = not no_animation
    if host is not None:
        require_terminal()
        from tl_tui.connect.remote_host import connect

        screen = detect_screen(ascii_only=ascii_only, animation=animation, theme=theme)
        return show(connect(host, remote_command), config, screen)
    return open_locally(config, None, ascii_only=ascii_only, animation=animation, theme=theme)


def open_locally(
    config: RunConfig,
    resumes: ResumeRun | None,
    *,
    ascii_only: bool = False,
    animation: bool = True,
    theme: str | None = None,
) -> int:
    """Start an engine on this machine and show the workbench until the user leaves.

    Args:
        config: The configuration of the new run, or of the run that is resumed.
        resumes: The run to resume; None starts a new run.
        ascii_only: Whether to draw with ASCII characters only.
        animation: Whether to animate backward passes.
        theme: The name of the palette; None is the last one used.

    Returns:
        The exit code.
    """
    require_terminal()
    from tl_tui.connect.client import EngineProcess

    # The engine starts first: it loads torch while the screen is loaded and drawn.
    process = EngineProcess.start(outlives=True)
    try:
        screen = detect_screen(ascii_only=ascii_only, animation=animation, theme=theme)
        from tl_tui.connect.local_link import LocalLink
    except BaseException:
        process.kill()
        raise
    return show(LocalLink(process), config, screen, resumes=resumes)


def require_terminal() -> None:
    """Refuse to open the screen without a terminal.

    Raises:
        Problem: Standard input or output is a pipe or a file.
    """
    if not (os.isatty(0) and os.isatty(1)):
        from tl_tui.connect import slurm

        raise Problem(
            "The screen needs a terminal, but standard input or output is a pipe or a file. "
            "Use tl-tui train or tl-tui layers, with --json for programs."
            + slurm.no_terminal_sentence()
        )


def detect_screen(*, ascii_only: bool, animation: bool, theme: str | None) -> ScreenOptions:
    """Find out what the terminal can show, and combine it with the user's options.

    Raises:
        Problem: There is no such theme.
    """
    from tui.app.screen_options import ScreenOptions
    from tui.drawing.terminal import detect_terminal
    from tui.drawing.theme import PALETTES

    if theme is not None and theme not in PALETTES:
        raise Problem(f"--theme {theme}: choose one of {', '.join(PALETTES)}.")
    terminal = detect_terminal(ascii_only=ascii_only)
    if not terminal.unicode:
        for stream in (sys.stdout, sys.stderr):  # for what is printed after the screen has closed
            write_ascii(stream)
    return ScreenOptions(terminal, animation, theme)


def show(
    link: EngineLink,
    config: RunConfig,
    screen: ScreenOptions,
    *,
    resumes: ResumeRun | None = None,
    attached: bool = False,
) -> int:
    """Show the workbench, and end the engine afterwards unless it was left running.

    Args:
        link: The connection to the engine.
        config: The configuration of the new run, or of the run that is resumed.
        screen: How to draw the screen.
        resumes: The run to resume; None starts a new run.
        attached: Whether the engine has opened the session already.

    Returns:
        The exit code.
    """
    try:
        from tui.app.app import run_app

        return run_app(link, config, screen, resumes=resumes, attached=attached)
    finally:
        link.leave()

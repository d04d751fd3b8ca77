"""`tl-tui`: the workbench on the screen."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from tl_tui.common.errors import Problem
from tl_tui.connect import slurm
from tl_tui.protocol.commands import ResumeRun
from tl_tui.protocol.config import RunConfig
from tui.cli.click_sections import SectionedCommand
from tui.cli.options import run_options
from tui.cli.options.host import host_options
from tui.cli.options.screen import screen_options

if TYPE_CHECKING:
    from tl_tui.connect.engine_link import EngineLink
    from tui.drawing.terminal import TerminalInfo


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
    if host is not None:
        need_terminal()
        from tl_tui.connect.remote_host import connect

        terminal = check_terminal(ascii_only, theme)
        return show(
            connect(host, remote_command),
            config,
            terminal=terminal,
            animation=not no_animation,
            theme=theme,
        )
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
    need_terminal()
    from tl_tui.connect.client import EngineProcess

    # The engine first: it loads torch while the screen is being loaded and drawn.
    process = EngineProcess.start(outlives=True)
    try:
        terminal = check_terminal(ascii_only, theme)
        from tl_tui.connect.local_link import LocalLink
    except BaseException:
        process.kill()
        raise
    return show(
        LocalLink(process),
        config,
        resumes=resumes,
        terminal=terminal,
        animation=animation,
        theme=theme,
    )


def need_terminal() -> None:
    """Refuse where there is none.

    Raises:
        Problem: standard input or output is a pipe or a file.
    """
    if not (os.isatty(0) and os.isatty(1)):
        raise Problem(
            "The screen needs a terminal, and this is a pipe or a file; "
            "use tl-tui train or tl-tui layers, with --json for programs."
            + slurm.no_terminal_sentence()
        )


def check_terminal(ascii_only: bool, theme: str | None) -> TerminalInfo:
    """What the terminal can.

    Raises:
        Problem: there is no such theme.
    """
    from tui.drawing.terminal import detect_terminal
    from tui.drawing.theme import PALETTES

    if theme is not None and theme not in PALETTES:
        raise Problem(f"--theme {theme}: choose one of {', '.join(PALETTES)}.")
    return detect_terminal(ascii_only=ascii_only)


def show(
    link: EngineLink,
    config: RunConfig,
    *,
    terminal: TerminalInfo,
    resumes: ResumeRun | None = None,
    animation: bool = True,
    theme: str | None = None,
    attached: bool = False,
) -> int:
    """Show the workbench on an engine, and end that one unless it was left to itself.

    Args:
        link: The way to it.
        config: What the session is, or was, opened with.
        terminal: What the terminal can.
        resumes: The run that goes on; None begins one.
        animation: Replay backward passes.
        theme: A palette's name; None is the one of last time.
        attached: The engine has its session already.

    Returns:
        The exit code.
    """
    try:
        from tui.app.app import run_app

        return run_app(
            link,
            config,
            resumes=resumes,
            terminal=terminal,
            animation=animation,
            theme=theme,
            attached=attached,
        )
    finally:
        link.leave()

"""`tl-tui attach [RUN]`: come back to a run that goes on."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import click

from tl_tui.common.errors import Problem
from tl_tui.protocol.config import RunConfig
from tui.cli import exit_codes
from tui.cli.click_sections import SectionedCommand
from tui.cli.options.host import host_options
from tui.cli.options.screen import screen_options

if TYPE_CHECKING:
    from tui.cli.pick_run import OnAnotherHost


@click.command(
    "attach",
    cls=SectionedCommand,
    examples=(
        ("the run that goes on, or a list of them", "tl-tui attach"),
        ("a run by the beginning of its name", "tl-tui attach 20261125-0815"),
        ("a run on a server, its screen here", "tl-tui attach --host gpu1 20261125-0815"),
    ),
)
@click.argument("run", required=False)
@screen_options
@host_options
def command(
    run: str | None,
    host: str | None,
    remote_command: str | None,
    ascii_only: bool,
    no_animation: bool,
    theme: str | None,
) -> int:
    """Come back to a run whose engine goes on without its screen: same stack, history and curves,
    and the keys steer it. If another screen has it open, this one watches, until W takes over."""
    from tl_tui.connect.discovery import AttachedEngine, check_version
    from tl_tui.connect.local_link import LocalLink
    from tui.cli.commands.open import check_terminal, show
    from tui.cli.pick_run import OnAnotherHost, config_of, one_engine

    if not (os.isatty(0) and os.isatty(1)):
        raise Problem(
            "tl-tui attach needs a terminal, and this is a pipe or a file; tl-tui show prints a "
            "run, tl-tui stop ends one."
        )
    if host is not None:
        from tl_tui.connect.remote_host import connect

        terminal = check_terminal(ascii_only, theme)
        line = connect(host, remote_command, "--run", run or "")
        return show(
            line,
            RunConfig(),
            terminal=terminal,
            animation=not no_animation,
            theme=theme,
            attached=True,
        )
    try:
        found = one_engine(run, ascii_only=ascii_only, theme=theme)
    except OnAnotherHost as there:
        return _join(there)
    if found is None:
        return exit_codes.DONE
    check_version(found.greeted, f"The engine of {found.name}")
    return show(
        LocalLink(AttachedEngine(found)),
        config_of(found),
        terminal=check_terminal(ascii_only, theme),
        animation=not no_animation,
        theme=theme,
        attached=True,
    )


def _join(there: OnAnotherHost) -> int:
    """Offer to run what reaches a run in a SLURM job of another host.

    Raises:
        Problem: it is in no job, or that is over.
    """
    if not there.where.job or there.job_over:
        raise there
    command = there.command("attach")
    print(f"{there.run.name} goes on in SLURM job {there.where.job} on {there.where.host}.")
    if not click.confirm(f"Run {shlex.join(command)}", default=True):
        return exit_codes.DONE
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise Problem(f"{command[0]} cannot be started ({error.strerror or error}).") from error

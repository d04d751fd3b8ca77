"""`tl-tui attach [RUN]`: open the screen of a run in progress."""

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
        ("the run in progress, or a list if there are several", "tl-tui attach"),
        ("a run by the beginning of its name", "tl-tui attach 20261125-0815"),
        ("a run on a server, with the screen here", "tl-tui attach --host gpu1 20261125-0815"),
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
    """Open the screen of a run that continued without one: with its layers, history and curves, and
    with keys that control it. If another screen controls the run, this one only watches until you
    press W.

    RUN is the run's directory, its name, or the beginning of its name.
    """
    from tl_tui.connect.discovery import AttachedEngine, check_version
    from tl_tui.connect.local_link import LocalLink
    from tui.cli.commands.open import detect_screen, show
    from tui.cli.pick_run import OnAnotherHost, choose_engine, config_of

    if not (os.isatty(0) and os.isatty(1)):
        raise Problem(
            "tl-tui attach needs a terminal, but standard input or output is a pipe or a file. "
            "tl-tui show prints a run, and tl-tui stop ends one."
        )
    animation = not no_animation
    if host is not None:
        from tl_tui.connect.remote_host import connect

        screen = detect_screen(ascii_only=ascii_only, animation=animation, theme=theme)
        link = connect(host, remote_command, "--run", run or "")
        return show(link, RunConfig(), screen, attached=True)
    try:
        engine = choose_engine(run, ascii_only=ascii_only, theme=theme)
    except OnAnotherHost as elsewhere:
        return _attach_in_job(elsewhere)
    if engine is None:
        return exit_codes.DONE
    check_version(engine.greeted, f"The engine of {engine.name}")
    screen = detect_screen(ascii_only=ascii_only, animation=animation, theme=theme)
    return show(LocalLink(AttachedEngine(engine)), config_of(engine), screen, attached=True)


def _attach_in_job(elsewhere: OnAnotherHost) -> int:
    """Offer to execute the command that attaches to a run in a SLURM job on another host.

    Raises:
        Problem: The run belongs to no job, or its job has ended.
    """
    host = elsewhere.host
    if not host.job or elsewhere.job_over:
        raise elsewhere
    command = elsewhere.command("attach")
    print(f"{elsewhere.run.name} is running in SLURM job {host.job} on {host.host}.")
    if not click.confirm(f"Run {shlex.join(command)}", default=True):
        return exit_codes.DONE
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise Problem(f"{command[0]} cannot be started ({error.strerror or error}).") from error

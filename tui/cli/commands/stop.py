"""`tl-tui stop RUN`: end a run that goes on."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

import click

from tl_tui.common.errors import Problem
from tui.cli import exit_codes
from tui.cli.click_sections import SectionedCommand
from tui.cli.options.host import host_options

if TYPE_CHECKING:
    from tl_tui.connect.discovery import AttachedEngine


@click.command(
    "stop",
    cls=SectionedCommand,
    examples=(
        ("end a run and save its weights", "tl-tui stop 20261125-0815"),
        ("one on a server", "tl-tui stop --host gpu1 20261125-0815"),
    ),
)
@click.argument("run")
@host_options
def command(run: str, host: str | None, remote_command: str | None) -> int:
    """End a run after the step that is being taken, from a script: its weights are saved, and
    tl-tui resume goes on from there.

    RUN is its directory, its name, or the beginning of that; `tl-tui runs` lists them.
    """
    from tl_tui.connect.client import EngineGone
    from tl_tui.connect.discovery import AttachedEngine, check_version
    from tui.cli.pick_run import OnAnotherHost, engine_of

    if host is not None:
        from tl_tui.connect.remote_host import run_remotely

        return run_remotely(host, remote_command, "stop", run)
    try:
        found = engine_of(run)
    except OnAnotherHost as there:
        if there.where.job and not there.job_over:
            where = f"{there.run.name} goes on in SLURM job {there.where.job}"
            raise Problem(f"{where}: {shlex.join(there.command('stop'))}") from there
        raise
    check_version(found.greeted, f"The engine of {found.name}")
    try:
        failures = asyncio.run(_end(AttachedEngine(found)))
    except EngineGone as error:
        raise Problem(f"{found.name} did not hear of it: {error}") from error
    if failures:
        raise Problem(f"{found.name} has ended; {failures[-1]}")
    print(f"{found.name} has ended; tl-tui resume {found.name} goes on.")
    return exit_codes.DONE


async def _end(engine: AttachedEngine) -> list[str]:
    """Ask for the end and wait for it; what could not be saved on the way."""
    from tl_tui.protocol.commands import Shutdown
    from tl_tui.protocol.events import EngineFailed
    from tl_tui.protocol.training import CheckpointSaved

    failures: list[str] = []
    connection = await engine.connect()
    connection.send(Shutdown(id=1))
    async for event in connection:
        if isinstance(event, CheckpointSaved):
            failures = [event.failure] if event.failure else []
        elif isinstance(event, EngineFailed):
            failures.append(event.sentence)
    return failures

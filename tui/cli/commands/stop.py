"""`tl-tui stop RUN`: end a run in progress."""

from __future__ import annotations

import shlex
from pathlib import Path
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
        ("end a run on a server", "tl-tui stop --host gpu1 20261125-0815"),
    ),
)
@click.argument("run")
@host_options
def command(run: str, host: str | None, remote_command: str | None) -> int:
    """End a run in progress after its current step and save its weights; tl-tui resume continues
    it.

    RUN is the run's directory, its name, or the beginning of its name; tl-tui runs lists all runs.
    """
    import asyncio

    from tl_tui.connect.client import EngineGone
    from tl_tui.connect.discovery import AttachedEngine, check_version
    from tl_tui.runs.continuing import how_to_continue
    from tui.cli.pick_run import OnAnotherHost, engine_of

    if host is not None:
        from tl_tui.connect.remote_host import run_remotely

        return run_remotely(host, remote_command, "stop", run)
    try:
        engine = engine_of(run)
    except OnAnotherHost as elsewhere:
        if elsewhere.host.job and not elsewhere.job_over:
            raise Problem(
                f"{elsewhere.run.name} is running in SLURM job {elsewhere.host.job}: "
                f"{shlex.join(elsewhere.command('stop'))}"
            ) from elsewhere
        raise
    check_version(engine.greeted, f"The engine of {engine.name}")
    try:
        failures = asyncio.run(_end(AttachedEngine(engine)))
    except EngineGone as error:
        raise Problem(f"{engine.name} could not be stopped: {error}") from error
    if failures:
        raise Problem(f"{engine.name} has ended; {failures[-1]}")
    print(f"{engine.name} has ended; {how_to_continue(Path(engine.greeted.run_dir))}.")
    return exit_codes.DONE


async def _end(engine: AttachedEngine) -> list[str]:
    """Ask an engine to end, wait for it, and return what could not be saved."""
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

"""Running the engine without a screen: start it, let one task use it, and end it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

from tl_tui.common.errors import Problem
from tl_tui.connect.client import Connection, EngineGone, EngineProcess
from tl_tui.protocol.commands import AnyCommand, Open, ResumeRun, Shutdown
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import (
    AnyEvent,
    Confirmed,
    EngineFailed,
    Greeted,
    Heartbeat,
    JobEnded,
    Refused,
)
from tl_tui.protocol.session import OpenFailed, SessionOpened
from tui.cli import exit_codes
from tui.cli.output.names import printable

Task = Callable[[Connection, AsyncIterator[AnyEvent]], Awaitable[int]]
"""Sends commands to an engine, reads its events, and returns an exit code."""

SHUTDOWN_ID = 1000
"""The id of the command that ends the engine; the ids of a task's commands start at 1."""
SHUTDOWN_S = 60.0
"""Seconds that the engine has to finish its step and save after it was asked to end. Batch systems
kill it sooner, and a second signal ends it at once."""

_EXIT_CODES = {
    signal.SIGINT: exit_codes.INTERRUPTED,
    signal.SIGTERM: exit_codes.ON_REQUEST,
    signal.SIGUSR1: exit_codes.ON_REQUEST,
    signal.SIGHUP: exit_codes.ON_REQUEST,
}
"""The exit code for each signal that ends a task."""


class EngineFailure(Exception):
    """The engine cannot continue; the text is its message."""


def run(task: Task) -> int:
    """Run a task on a new engine and end the engine.

    Returns:
        What the task returned, or the code of the signal that ended it. If the engine failed or
        died, a message on standard error and 1.

    Raises:
        Problem: The request cannot be fulfilled.
    """
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        _EXIT_CODES.pop(signal.SIGHUP, None)  # Under nohup, a lost connection is no reason to end.
    for number, code in _EXIT_CODES.items():
        if number != signal.SIGINT:  # SIGINT raises KeyboardInterrupt already.
            signal.signal(number, lambda *_, code=code: sys.exit(code))
    process = EngineProcess.start()
    try:
        return asyncio.run(_supervise(process, task))
    except (EngineFailure, EngineGone) as error:
        print(f"tl-tui: {printable(str(error))}", file=sys.stderr)
        return exit_codes.FAILED
    finally:
        process.kill()


async def _supervise(process: EngineProcess, task: Task) -> int:
    """Run a task, and shut the engine down on a signal."""
    received: list[int] = []  # The exit codes of the signals so far.
    connections: list[Connection] = []

    async def run_task() -> int:
        connection = await process.connect(lossless=True)
        connections.append(connection)
        try:
            return await task(connection, _events(process, connection))
        finally:
            await connection.close()

    def signal_received(code: int) -> None:
        received.append(code)
        if len(received) > 1:
            process.kill()
            running.cancel()
        elif connections:
            # The task keeps reading: the engine finishes its step and reports what it saved.
            connections[0].send(Shutdown(id=SHUTDOWN_ID))
            loop.call_later(SHUTDOWN_S, running.cancel)
        else:
            running.cancel()

    running = asyncio.ensure_future(run_task())
    loop = asyncio.get_running_loop()
    for number, code in _EXIT_CODES.items():
        loop.add_signal_handler(number, signal_received, code)
    try:
        code = await running
        return received[0] if received and code != exit_codes.DONE else code
    except (asyncio.CancelledError, EngineFailure, EngineGone):
        if not received:
            raise
        return received[0]
    finally:
        await process.stop()


async def _events(process: EngineProcess, connection: Connection) -> AsyncIterator[AnyEvent]:
    """Yield the engine's events; raise if it refuses a command, fails or dies."""
    async for event in connection:
        if isinstance(event, EngineFailed):
            raise EngineFailure(event.sentence)
        if isinstance(event, Refused) and event.id == 0 and not event.harmless:
            raise EngineFailure(event.reason)  # It answers no command of the task.
        if isinstance(event, Refused) and not event.harmless:
            raise Problem(event.reason)
        yield event
    raise EngineFailure(process.reason())


async def open_session(
    connection: Connection, events: AsyncIterator[AnyEvent], request: RunConfig | ResumeRun
) -> SessionOpened:
    """Open a session and wait until it is ready.

    Args:
        connection: The connection to the engine.
        events: The engine's events.
        request: The configuration of a new run, or the run to resume.

    Raises:
        Problem: The session cannot be opened.
        EngineFailure: The engine failed or died.
    """
    command = request if isinstance(request, ResumeRun) else Open(id=1, config=request)
    connection.send(command)
    async for event in events:
        if isinstance(event, SessionOpened):
            return event
        if isinstance(event, OpenFailed):
            raise Problem(_with_choices(event))
    raise AssertionError("the events ended without a reason")


async def run_job(
    connection: Connection, events: AsyncIterator[AnyEvent], command: AnyCommand
) -> AsyncIterator[AnyEvent]:
    """Start a job on the engine and yield its events until it ends.

    Args:
        connection: The connection to the engine.
        events: The engine's events.
        command: The command that starts the job.

    Raises:
        Problem: The job failed.
        EngineFailure: The engine failed or died.
    """
    connection.send(command)
    async for event in events:
        if isinstance(event, JobEnded):
            if event.failure:
                raise Problem(event.failure)
            return
        if not isinstance(event, (Greeted, Confirmed, Heartbeat)):
            yield event


def _with_choices(event: OpenFailed) -> str:
    """Return why a session could not be opened, and what to choose if that is not named yet."""
    unnamed = [f"--weights {choice}" for choice in event.choices]
    unnamed = [option for option in unnamed if option not in event.sentence]
    return f"{event.sentence} Choose {' or '.join(unnamed)}." if unnamed else event.sentence

"""Without a screen: start an engine, let one task speak with it, and see that it is gone after."""

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

Task = Callable[[Connection, AsyncIterator[AnyEvent]], Awaitable[int]]
"""Speaks with an engine; returns an exit code."""

LEAVING = 1000
"""The id of the command that ends the engine; tasks number theirs from 1."""
LEAVE_S = 60.0
"""How long the engine may take to end its unit and save, after it was asked to end. Batch systems
kill sooner; a second request ends it at once."""

_REQUESTS = {
    signal.SIGINT: exit_codes.INTERRUPTED,
    signal.SIGTERM: exit_codes.ON_REQUEST,
    signal.SIGUSR1: exit_codes.ON_REQUEST,
    signal.SIGHUP: exit_codes.ON_REQUEST,
}


class EngineFailure(Exception):
    """The engine cannot go on; the text is its sentence."""


def run(task: Task) -> int:
    """Run a task against an engine of its own. The engine is gone when this returns.

    Returns:
        What the task returned, or the code of the signal that ended it; 1, and a sentence on
        standard error, if the engine failed or died.

    Raises:
        Problem: what was asked for cannot be had.
    """
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        _REQUESTS.pop(signal.SIGHUP, None)  # nohup: the line may drop
    for number, code in _REQUESTS.items():
        if number != signal.SIGINT:  # that one raises KeyboardInterrupt already
            signal.signal(number, lambda *_, code=code: sys.exit(code))
    process = EngineProcess.start()
    try:
        return asyncio.run(_supervise(process, task))
    except (EngineFailure, EngineGone) as error:
        print(f"tl-tui: {error}", file=sys.stderr)
        return exit_codes.FAILED
    finally:
        process.kill()


async def _supervise(process: EngineProcess, task: Task) -> int:
    asked: list[int] = []
    connections: list[Connection] = []

    async def speak() -> int:
        connection = await process.connect(lossless=True)
        connections.append(connection)
        try:
            return await task(connection, _events(process, connection))
        finally:
            await connection.close()

    def request(code: int) -> None:
        asked.append(code)
        if len(asked) > 1:
            process.kill()  # asked twice: at once
            speaking.cancel()
        elif connections:
            # The engine ends its unit and saves; what it says of that is still listened to.
            connections[0].send(Shutdown(id=LEAVING))
            loop.call_later(LEAVE_S, speaking.cancel)
        else:
            speaking.cancel()

    speaking = asyncio.ensure_future(speak())
    loop = asyncio.get_running_loop()
    for number, code in _REQUESTS.items():
        loop.add_signal_handler(number, request, code)
    try:
        code = await speaking
        return asked[0] if asked and code != exit_codes.DONE else code
    except (asyncio.CancelledError, EngineFailure, EngineGone):
        if not asked:
            raise
        return asked[0]
    finally:
        await process.stop()


async def _events(process: EngineProcess, connection: Connection) -> AsyncIterator[AnyEvent]:
    """The engine's events; a refusal, its failure and its death are raised."""
    async for event in connection:
        if isinstance(event, EngineFailed):
            raise EngineFailure(event.sentence)
        if isinstance(event, Refused) and event.id == 0:  # of no command: it came up on the way
            raise EngineFailure(event.reason)
        if isinstance(event, Refused):
            raise Problem(event.reason)
        yield event
    raise EngineFailure(process.reason())


async def open_session(
    connection: Connection, events: AsyncIterator[AnyEvent], asked: RunConfig | ResumeRun
) -> SessionOpened:
    """Open a session, or a run that goes on, and wait until it is ready.

    Raises:
        Problem: it cannot be opened as asked.
        EngineFailure: the engine failed or died.
    """
    connection.send(asked if isinstance(asked, ResumeRun) else Open(id=1, config=asked))
    async for event in events:
        if isinstance(event, SessionOpened):
            return event
        if isinstance(event, OpenFailed):
            raise Problem(_with_choices(event))
    raise AssertionError("the events ended without a reason")


async def errand(
    connection: Connection, events: AsyncIterator[AnyEvent], command: AnyCommand
) -> AsyncIterator[AnyEvent]:
    """Have an errand done; what it tells.

    Args:
        connection: To an engine.
        events: The engine's.
        command: The errand.

    Raises:
        Problem: it cannot be done.
        EngineFailure: the engine failed or died.
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
    unnamed = [f"--weights {choice}" for choice in event.choices]
    unnamed = [option for option in unnamed if option not in event.sentence]
    return f"{event.sentence} Possible: {', '.join(unnamed)}." if unnamed else event.sentence

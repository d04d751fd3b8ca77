"""A connection to an engine that records the events it receives."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from tl_tui.connect.client import Connection, EngineProcess
from tl_tui.protocol.commands import (
    AnyCommand,
    Open,
)
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import (
    AnyEvent,
    Confirmed,
)
from tl_tui.protocol.session import SessionOpened

SCRIPTED = [sys.executable, "-m", "tests.support.scripted_session"]


SOON = 30.0
"""Seconds within which a condition has to come true; far more than it ever takes."""


class RecordedConnection:
    """A connection with the events that came on it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.events: AsyncIterator[AnyEvent] = connection.__aiter__()
        self.received: list[AnyEvent] = []

    def send(self, command: AnyCommand) -> None:
        self.connection.send(command)

    async def until(self, found: Callable[[AnyEvent], bool] | type) -> AnyEvent:
        """Read events until one of a type comes, or one that meets a condition."""
        async with asyncio.timeout(SOON):
            async for event in self.events:
                self.received.append(event)
                if isinstance(event, found) if isinstance(found, type) else found(event):
                    return event
        raise AssertionError(f"the engine ended before that; received {self.received[-3:]}")

    async def to_the_end(self) -> list[AnyEvent]:
        async with asyncio.timeout(SOON):
            async for event in self.events:
                self.received.append(event)
        return self.received

    def count(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event in self.received)


async def connect(engine: EngineProcess, *, lossless: bool = True) -> RecordedConnection:
    """Connect to an engine and wait until it has confirmed the connection."""
    connection = RecordedConnection(await engine.connect(timeout=SOON, lossless=lossless))
    await connection.until(Confirmed)
    return connection


async def connect_and_open(
    engine: EngineProcess, folder: Path, *, lossless: bool = True
) -> RecordedConnection:
    """Connect to an engine and open a session on a folder of images."""
    connection = await connect(engine, lossless=lossless)
    connection.send(Open(id=1, config=RunConfig(data=str(folder))))
    await connection.until(SessionOpened)
    return connection

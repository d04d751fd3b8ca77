"""What clients send to an engine and receive from it, over a real socket."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from tests.support.engine_client import (
    SOON,
    connect,
    connect_and_open,
)
from tl_tui import __version__
from tl_tui.connect.client import EngineProcess
from tl_tui.connect.malloc_env import SETTINGS
from tl_tui.protocol.commands import (
    PROTOCOL,
    Hello,
    Pause,
    SetMask,
    Step,
    TakeOver,
    Train,
)
from tl_tui.protocol.events import (
    AnyEvent,
    Confirmed,
    Greeted,
    Heartbeat,
    Refused,
)
from tl_tui.protocol.framing import decode_event, encode
from tl_tui.protocol.framing_reader import read_frame
from tl_tui.protocol.session import SessionOpened
from tl_tui.protocol.training import StepTaken, TrainEnded

MANY = 3000
"""Steps whose messages no socket's buffer holds."""


async def test_a_client_is_greeted_and_its_commands_confirmed(engine: EngineProcess) -> None:
    one = await connect(engine)
    greeted = Greeted(
        protocol=PROTOCOL, version=__version__, pid=engine.pid, host=socket.gethostname()
    )
    assert one.received == [greeted, Confirmed(id=0)]


async def test_each_command_is_answered_once_and_only_to_its_sender(
    engine: EngineProcess, tmp_path: Path
) -> None:
    one = await connect_and_open(engine, tmp_path)
    other = await connect(engine)
    one.send(SetMask(id=7, trainable=()))
    one.send(SetMask(id=8, trainable=(1,)))
    await one.until(lambda event: event == Confirmed(id=8))
    other.send(TakeOver(id=6))
    other.send(SetMask(id=7, trainable=(2,)))
    await other.until(lambda event: event == Confirmed(id=7))
    assert Refused(id=7, reason="An empty mask, for once.") in one.received
    assert not any(isinstance(event, Refused) for event in other.received)
    assert Confirmed(id=7) not in one.received


async def test_a_long_step_sends_heartbeats(engine: EngineProcess, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    one = await connect_and_open(engine, tmp_path)
    one.send(Step(id=2))
    beat = await one.until(Heartbeat)
    assert isinstance(beat, Heartbeat)
    assert beat.activity == "waiting for the test"
    assert beat.seconds >= 1
    assert one.count(StepTaken) == 0
    pipe.write_text("go on")
    await one.until(StepTaken)


async def test_a_slow_screen_gets_the_latest_state_and_slows_no_step(
    engine: EngineProcess, tmp_path: Path
) -> None:
    log = await connect_and_open(engine, tmp_path)
    screen = await connect(engine, lossless=False)
    log.send(Train(id=2, steps=MANY))
    await log.until(TrainEnded)  # while the screen has not read a single step
    assert screen.count(StepTaken) == 0
    await screen.until(TrainEnded)
    steps = [event.step for event in screen.received if isinstance(event, StepTaken)]
    assert steps[-1] == MANY
    assert steps == sorted(steps)
    assert len(steps) < MANY


async def test_the_engine_waits_for_a_lossless_client_that_gets_every_event(
    engine: EngineProcess, tmp_path: Path
) -> None:
    screen = await connect_and_open(engine, tmp_path, lossless=False)
    log = await connect(engine)
    log.send(TakeOver(id=1))
    log.send(Train(id=2, steps=MANY))
    # A heartbeat during training: the engine waits, because the log does not read.
    beat = await screen.until(Heartbeat)
    assert isinstance(beat, Heartbeat)
    assert beat.activity == "training"
    assert screen.count(TrainEnded) == 0
    await log.until(TrainEnded)
    steps = [event.step for event in log.received if isinstance(event, StepTaken)]
    assert steps == list(range(1, MANY + 1))


async def test_a_client_that_connects_later_gets_the_current_state(
    engine: EngineProcess, tmp_path: Path
) -> None:
    one = await connect_and_open(engine, tmp_path)
    one.send(SetMask(id=2, trainable=(3, 4)))
    one.send(SetMask(id=4, trainable=()))  # refused
    one.send(Train(id=3, steps=5))
    await one.until(TrainEnded)
    other = await connect(engine, lossless=False)
    session = await other.until(SessionOpened)
    assert isinstance(session, SessionOpened)
    assert (session.step, session.trainable) == (5, (3, 4))
    last = await other.until(StepTaken)
    assert isinstance(last, StepTaken)
    assert last.step == 5


# --- bad clients --------------------------------------------------------------------------------


async def _answers(engine: EngineProcess, sent: bytes) -> list[AnyEvent]:
    reader, writer = await asyncio.open_unix_connection(str(_socket(engine)))
    writer.write(sent)
    heard = []
    async with asyncio.timeout(SOON):
        while (body := await read_frame(reader)) is not None:
            heard.append(decode_event(body))
    writer.close()
    return heard


def _socket(engine: EngineProcess) -> Path:
    return engine.log.with_suffix(".sock")


async def test_another_protocol_version_is_refused_with_a_sentence(engine: EngineProcess) -> None:
    one = await connect(engine)
    heard = await _answers(engine, encode(Hello(id=3, protocol=PROTOCOL + 1)))
    assert isinstance(heard[1], Refused)
    assert "install the same version of tl-tui on both sides" in heard[1].reason
    one.send(Pause(id=1))
    await one.until(Confirmed)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",  # a length of over a gigabyte
        b"\0\0\0\2hi",
        encode(Pause(id=1)),
    ],
    ids=["http", "no message", "no hello"],
)
async def test_a_client_that_sends_garbage_disturbs_no_other(
    engine: EngineProcess, sent: bytes
) -> None:
    one = await connect(engine)
    heard = await _answers(engine, sent)
    assert isinstance(heard[0], Greeted)
    one.send(Pause(id=1))
    await one.until(Confirmed)


async def test_a_client_that_never_says_hello_is_not_the_last_client(engine: EngineProcess) -> None:
    one = await connect(engine)
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.connect(str(_socket(engine)))
    one.send(Pause(id=1))
    await one.until(Confirmed)


@pytest.mark.parametrize(
    "given", ["", "glibc.malloc.hugetlb=0:glibc.malloc.arena_max=2", "glibc.malloc.check=0"]
)
async def test_malloc_settings_are_added_to_those_of_the_user(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given:
        monkeypatch.setenv("GLIBC_TUNABLES", given)
    process = EngineProcess.start(
        [sys.executable, "-c", "import os; print(os.environ['GLIBC_TUNABLES'])"]
    )
    assert await process.ended(SOON)
    told = process.log.read_text().strip()
    settings = dict(setting.split("=") for setting in told.split(":"))
    expected = dict(setting.split("=") for setting in given.split(":") if setting)
    assert expected.items() <= settings.items()
    assert set(SETTINGS) <= set(settings)
    assert len(settings) == len(told.split(":"))

"""The engine's process as a client meets it: a real process, a real socket, a scripted session."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tl_tui import __version__
from tl_tui.common.errors import Problem
from tl_tui.connect.client import Connection, EngineGone, EngineProcess
from tl_tui.connect.malloc_env import SETTINGS
from tl_tui.connect.socket_path import log_path, new_socket_path
from tl_tui.protocol.commands import (
    PROTOCOL,
    AnyCommand,
    Audit,
    Hello,
    Open,
    Pause,
    SetDisconnectAction,
    SetMask,
    Shutdown,
    StartOver,
    Step,
    TakeOver,
    Train,
    UndoStartOver,
)
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import (
    AnyEvent,
    Confirmed,
    EngineFailed,
    Greeted,
    Heartbeat,
    Refused,
    ViewersChanged,
)
from tl_tui.protocol.framing import decode_event, encode
from tl_tui.protocol.framing_reader import read_frame
from tl_tui.protocol.session import SessionOpened
from tl_tui.protocol.training import StepTaken, TrainEnded

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = [sys.executable, "-m", "tests.support.scripted_session"]
SOON = 30.0
"""Seconds within which a condition has to come true; far more than it ever takes."""
MANY = 3000
"""Steps whose messages no socket's buffer holds."""


@pytest.fixture(autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sockets of their own; the scripted session is found from the project's root."""
    folder = tmp_path_factory.mktemp("s")
    monkeypatch.setenv("TL_TUI_TMPDIR", str(folder))
    monkeypatch.chdir(ROOT)
    return folder / f"tl-tui-{os.getuid()}"


@pytest.fixture
def engine() -> Iterator[EngineProcess]:
    process = EngineProcess.start(SCRIPTED)
    yield process
    process.kill()


class Talk:
    """A connection and what was heard on it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.events: AsyncIterator[AnyEvent] = connection.__aiter__()
        self.heard: list[AnyEvent] = []

    def send(self, command: AnyCommand) -> None:
        self.connection.send(command)

    async def until(self, found: Callable[[AnyEvent], bool] | type) -> AnyEvent:
        """Listen until an event of a kind, or one that fits, comes."""
        async with asyncio.timeout(SOON):
            async for event in self.events:
                self.heard.append(event)
                if isinstance(event, found) if isinstance(found, type) else found(event):
                    return event
        raise AssertionError(f"the engine ended before that; heard {self.heard[-3:]}")

    async def to_the_end(self) -> list[AnyEvent]:
        async with asyncio.timeout(SOON):
            async for event in self.events:
                self.heard.append(event)
        return self.heard

    def count(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event in self.heard)


async def talk(engine: EngineProcess, *, lossless: bool = True) -> Talk:
    talk = Talk(await engine.connect(timeout=SOON, lossless=lossless))
    await talk.until(Confirmed)
    return talk


async def opened_talk(engine: EngineProcess, folder: Path, *, lossless: bool = True) -> Talk:
    one = await talk(engine, lossless=lossless)
    one.send(Open(id=1, config=RunConfig(data=str(folder))))
    await one.until(SessionOpened)
    return one


async def test_it_greets_and_confirms(engine: EngineProcess) -> None:
    one = await talk(engine)
    greeted = Greeted(
        protocol=PROTOCOL, version=__version__, pid=engine.pid, host=socket.gethostname()
    )
    assert one.heard == [greeted, Confirmed(id=0)]


async def test_each_command_is_answered_once_and_to_who_sent_it(
    engine: EngineProcess, tmp_path: Path
) -> None:
    one = await opened_talk(engine, tmp_path)
    other = await talk(engine)
    one.send(SetMask(id=7, trainable=()))
    one.send(SetMask(id=8, trainable=(1,)))
    await one.until(lambda event: event == Confirmed(id=8))
    other.send(TakeOver(id=6))
    other.send(SetMask(id=7, trainable=(2,)))
    await other.until(lambda event: event == Confirmed(id=7))
    assert Refused(id=7, reason="An empty mask, for once.") in one.heard
    assert not any(isinstance(event, Refused) for event in other.heard)
    assert Confirmed(id=7) not in one.heard


async def test_a_long_unit_has_a_heartbeat(engine: EngineProcess, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    one = await opened_talk(engine, tmp_path)
    one.send(Step(id=2))
    beat = await one.until(Heartbeat)
    assert isinstance(beat, Heartbeat)
    assert beat.activity == "waiting for the test"
    assert beat.seconds >= 1
    assert one.count(StepTaken) == 0
    pipe.write_text("go on")
    await one.until(StepTaken)


async def test_a_slow_screen_gets_the_latest_and_slows_nothing(
    engine: EngineProcess, tmp_path: Path
) -> None:
    log = await opened_talk(engine, tmp_path)
    screen = await talk(engine, lossless=False)
    log.send(Train(id=2, steps=MANY))
    await log.until(TrainEnded)  # while the screen has not read a single step
    assert screen.count(StepTaken) == 0
    await screen.until(TrainEnded)
    steps = [event.step for event in screen.heard if isinstance(event, StepTaken)]
    assert steps[-1] == MANY
    assert steps == sorted(steps)
    assert len(steps) < MANY


async def test_a_log_gets_everything_and_the_engine_waits_for_it(
    engine: EngineProcess, tmp_path: Path
) -> None:
    screen = await opened_talk(engine, tmp_path, lossless=False)
    log = await talk(engine)
    log.send(TakeOver(id=1))
    log.send(Train(id=2, steps=MANY))
    # The heart beats in the unit of training: it stands, for the log does not read.
    beat = await screen.until(Heartbeat)
    assert isinstance(beat, Heartbeat)
    assert beat.activity == "training"
    assert screen.count(TrainEnded) == 0
    await log.until(TrainEnded)
    steps = [event.step for event in log.heard if isinstance(event, StepTaken)]
    assert steps == list(range(1, MANY + 1))


async def test_who_attaches_later_gets_the_current_state(
    engine: EngineProcess, tmp_path: Path
) -> None:
    one = await opened_talk(engine, tmp_path)
    one.send(SetMask(id=2, trainable=(3, 4)))
    one.send(SetMask(id=4, trainable=()))  # refused
    one.send(Train(id=3, steps=5))
    await one.until(TrainEnded)
    other = await talk(engine, lossless=False)
    session = await other.until(SessionOpened)
    assert isinstance(session, SessionOpened)
    assert (session.step, session.trainable) == (5, (3, 4))
    last = await other.until(StepTaken)
    assert isinstance(last, StepTaken)
    assert last.step == 5


# --- ending -------------------------------------------------------------------------------------


async def test_it_ends_with_its_last_client(
    engine: EngineProcess, tmp_path: Path, place: Path
) -> None:
    one = await opened_talk(engine, tmp_path)
    other = await talk(engine)
    await one.connection.close()
    await other.until(lambda event: event == ViewersChanged(clients=1, in_control=True))
    other.send(Pause(id=1))
    await other.until(Confirmed)  # it is still there
    await other.connection.close()
    assert await engine.ended(SOON)
    assert (tmp_path / "closed").exists()
    assert list(place.iterdir()) == []
    assert engine.reason() == "The engine has ended."


async def test_it_ends_with_its_last_client_in_mid_unit(
    engine: EngineProcess, tmp_path: Path, place: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")  # nobody ever writes into it
    one = await opened_talk(engine, tmp_path)
    one.send(Step(id=2))
    await one.until(Heartbeat)
    await one.connection.close()
    assert await engine.ended(SOON)
    assert not list(place.glob("*.sock"))
    assert "waiting for the test" in engine.reason()


async def test_one_that_nobody_comes_to_ends(place: Path) -> None:
    engine = EngineProcess.start([*SCRIPTED, "--first-client", "0"], outlives=True)
    assert await engine.ended(SOON)
    assert list(place.iterdir()) == []


async def left_working(engine: EngineProcess, folder: Path) -> Talk:
    """A client that may leave: it has trained, and a unit waits until the pipe can be read."""
    os.mkfifo(folder / "pipe")
    one = await opened_talk(engine, folder)
    one.send(Train(id=2, steps=3))
    await one.until(StepTaken)
    one.send(SetDisconnectAction(id=3, action="continue"))
    one.send(Step(id=4))
    await one.until(lambda event: event == Confirmed(id=4))
    return one


async def test_left_running_early_it_goes_on(tmp_path: Path) -> None:
    """The time within which somebody has to come ends while it is alone, and trained."""
    engine = EngineProcess.start([*SCRIPTED, "--first-client", "1"], outlives=True)
    one = await left_working(engine, tmp_path)
    await one.connection.close()
    assert not await engine.ended(3.0)
    engine.kill()


async def test_without_screen_and_work_it_ends_by_itself(tmp_path: Path, place: Path) -> None:
    """It was left running, goes on to the end of its work, and then holds the GPU no longer."""
    engine = EngineProcess.start([*SCRIPTED, "--idle", "0"], outlives=True)
    one = await left_working(engine, tmp_path)
    await one.until(Heartbeat)
    await one.connection.close()
    other = await talk(engine)  # it works and has not ended
    await other.until(Heartbeat)
    await other.connection.close()
    with open(tmp_path / "pipe", "w") as pipe:
        pipe.write("go on")
    assert await engine.ended(SOON)
    assert (tmp_path / "closed").exists() and list(place.iterdir()) == []


async def test_shutdown_is_confirmed_and_done(engine: EngineProcess, tmp_path: Path) -> None:
    one = await opened_talk(engine, tmp_path)
    one.send(Shutdown(id=9))
    assert Confirmed(id=9) in await one.to_the_end()
    assert (tmp_path / "closed").exists()


async def test_sigterm_closes_the_session(engine: EngineProcess, tmp_path: Path) -> None:
    one = await opened_talk(engine, tmp_path)
    os.kill(engine.pid, signal.SIGTERM)
    await one.to_the_end()
    assert (tmp_path / "closed").exists()


async def test_stop_leaves_nothing(engine: EngineProcess, tmp_path: Path) -> None:
    await opened_talk(engine, tmp_path)
    async with asyncio.timeout(SOON):
        await engine.stop()
    assert not engine.alive


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Killed, so that nothing can be said to the engine, and with no client attached."""
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from tl_tui.connect.client import EngineProcess as E; "
            f"e = E.start({SCRIPTED!r}); print(e.pid, flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    end = os.pidfd_open(pid)
    parent.kill()
    parent.communicate()
    assert select.select([end], [], [], SOON)[0]
    os.close(end)


# --- failing ------------------------------------------------------------------------------------


async def test_a_failure_is_told_with_its_log(engine: EngineProcess, tmp_path: Path) -> None:
    one = await opened_talk(engine, tmp_path)
    one.send(Audit(id=2))
    failed = (await one.to_the_end())[-1]
    assert isinstance(failed, EngineFailed)
    assert "RuntimeError: the device is lost" in failed.sentence
    assert str(engine.log) in failed.sentence
    log = engine.log.read_text()
    assert "Traceback" in log and "the device is lost" in log
    assert "Traceback" not in engine.reason()
    assert "code 1: RuntimeError: the device is lost" in engine.reason()


async def test_a_killed_engine_says_so(engine: EngineProcess, tmp_path: Path) -> None:
    one = await opened_talk(engine, tmp_path)
    os.kill(engine.pid, signal.SIGKILL)
    await one.to_the_end()
    assert "killed (SIGKILL), perhaps because memory ran out" in engine.reason()


async def test_a_crash_is_found_in_the_log(engine: EngineProcess, tmp_path: Path) -> None:
    one = await opened_talk(engine, tmp_path)
    one.send(StartOver(id=2))
    await one.to_the_end()
    assert "died of SIGABRT: Fatal Python error: Aborted" in engine.reason()


async def test_an_engine_that_cannot_start_is_not_waited_for() -> None:
    process = EngineProcess.start([sys.executable, "-c", "import a_module_that_is_not_there"])
    with pytest.raises(EngineGone, match="code 1: ModuleNotFoundError.*Its log: "):
        await process.connect(timeout=SOON)


# --- the log ------------------------------------------------------------------------------------


async def test_the_log_catches_libraries_and_moves_into_the_run(
    engine: EngineProcess, tmp_path: Path
) -> None:
    one = await opened_talk(engine, tmp_path)
    one.send(Pause(id=2))
    one.send(UndoStartOver(id=3))
    one.send(Pause(id=4))
    await one.until(lambda event: event == Confirmed(id=4))
    assert engine.log == tmp_path / "run" / "engine.log"
    assert engine.log.read_text().splitlines() == [
        "printed by Python",
        "written by a library",
        "printed by Python",
        "written by a library",
    ]


# --- strangers ----------------------------------------------------------------------------------


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


async def test_another_protocol_is_refused_in_a_sentence(engine: EngineProcess) -> None:
    one = await talk(engine)
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
async def test_a_stranger_disturbs_nobody(engine: EngineProcess, sent: bytes) -> None:
    one = await talk(engine)
    heard = await _answers(engine, sent)
    assert isinstance(heard[0], Greeted)
    one.send(Pause(id=1))
    await one.until(Confirmed)


async def test_a_visitor_without_a_word_is_no_last_client(engine: EngineProcess) -> None:
    one = await talk(engine)
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.connect(str(_socket(engine)))
    one.send(Pause(id=1))
    await one.until(Confirmed)


# --- the socket's place -------------------------------------------------------------------------


def test_the_place_is_private(place: Path) -> None:
    path = new_socket_path()
    assert path.parent == place
    assert place.stat().st_mode & 0o777 == 0o700
    assert len(os.fsencode(path)) <= 107


def test_a_place_open_to_others_is_refused(place: Path) -> None:
    new_socket_path()
    place.chmod(0o755)
    with pytest.raises(Problem, match="open to other users; chmod 700"):
        new_socket_path()


def test_a_link_in_its_place_is_refused(place: Path, tmp_path: Path) -> None:
    place.symlink_to(tmp_path)
    with pytest.raises(Problem, match="is not a folder"):
        new_socket_path()


def test_a_file_in_its_place_is_refused(place: Path) -> None:
    place.write_text("")
    with pytest.raises(Problem, match="is not a folder"):
        new_socket_path()


def test_a_path_too_long_for_a_socket_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setenv("TL_TUI_TMPDIR", str(deep))
    with pytest.raises(Problem, match="too long for a socket.*TL_TUI_TMPDIR"):
        new_socket_path()


def test_what_dead_engines_left_is_removed(place: Path) -> None:
    dead, alive = new_socket_path(), new_socket_path()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(dead))
    log_path(dead).write_text("why it died")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(alive))
        listening.listen()
        for path in (dead, alive):
            os.utime(path, (0, 0))
        new_socket_path()
        assert alive.exists()
        assert not dead.exists()
        assert log_path(dead).exists()  # it may still be wanted
        os.utime(log_path(dead), (0, 0))
        new_socket_path()
        assert not log_path(dead).exists()


@pytest.mark.parametrize(
    "given", ["", "glibc.malloc.hugetlb=0:glibc.malloc.arena_max=2", "glibc.malloc.check=0"]
)
async def test_an_engine_is_told_how_to_allocate_and_keeps_what_its_user_set(
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

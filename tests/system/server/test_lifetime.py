"""When an engine ends, and what it says when it fails."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.engine_client import (
    SCRIPTED,
    SOON,
    RecordedConnection,
    connect,
    connect_and_open,
)
from tl_tui.connect.client import EngineGone, EngineProcess
from tl_tui.connect.oom_kills import oom_kills
from tl_tui.protocol.commands import (
    Audit,
    Pause,
    SetDisconnectAction,
    Shutdown,
    StartOver,
    Step,
    Train,
    UndoStartOver,
)
from tl_tui.protocol.events import (
    Confirmed,
    EngineFailed,
    Heartbeat,
    ViewersChanged,
)
from tl_tui.protocol.training import StepTaken


async def test_the_engine_ends_with_its_last_client(
    engine: EngineProcess, tmp_path: Path, socket_folder: Path
) -> None:
    one = await connect_and_open(engine, tmp_path)
    other = await connect(engine)
    await one.connection.close()
    await other.until(lambda event: event == ViewersChanged(clients=1, in_control=True))
    other.send(Pause(id=1))
    await other.until(Confirmed)  # it is still there
    await other.connection.close()
    assert await engine.ended(SOON)
    assert (tmp_path / "closed").exists()
    assert list(socket_folder.iterdir()) == []
    assert engine.reason() == "The engine has ended."


async def test_the_engine_ends_with_its_last_client_during_a_step(
    engine: EngineProcess, tmp_path: Path, socket_folder: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")  # nobody ever writes into it
    one = await connect_and_open(engine, tmp_path)
    one.send(Step(id=2))
    await one.until(Heartbeat)
    await one.connection.close()
    assert await engine.ended(SOON)
    assert not list(socket_folder.glob("*.sock"))
    assert "waiting for the test" in engine.reason()


async def test_an_engine_without_a_first_client_ends(socket_folder: Path) -> None:
    engine = EngineProcess.start([*SCRIPTED, "--first-client", "0"], outlives=True)
    assert await engine.ended(SOON)
    assert list(socket_folder.iterdir()) == []


async def client_with_a_step_in_progress(engine: EngineProcess, folder: Path) -> RecordedConnection:
    """Return a client that has trained, with a step in progress until the pipe can be read."""
    os.mkfifo(folder / "pipe")
    one = await connect_and_open(engine, folder)
    one.send(Train(id=2, steps=3))
    await one.until(StepTaken)
    one.send(SetDisconnectAction(id=3, action="continue"))
    one.send(Step(id=4))
    await one.until(lambda event: event == Confirmed(id=4))
    return one


async def test_an_engine_told_to_continue_alone_keeps_training(tmp_path: Path) -> None:
    """Even after the time in which a first client must connect, because it has trained."""
    engine = EngineProcess.start([*SCRIPTED, "--first-client", "1"], outlives=True)
    one = await client_with_a_step_in_progress(engine, tmp_path)
    await one.connection.close()
    assert not await engine.ended(3.0)
    engine.kill()


async def test_an_idle_engine_without_clients_ends(tmp_path: Path, socket_folder: Path) -> None:
    """After its last step, so that it no longer holds the GPU."""
    engine = EngineProcess.start([*SCRIPTED, "--idle", "0"], outlives=True)
    one = await client_with_a_step_in_progress(engine, tmp_path)
    await one.until(Heartbeat)
    await one.connection.close()
    other = await connect(engine)  # still at work
    await other.until(Heartbeat)
    await other.connection.close()
    with open(tmp_path / "pipe", "w") as pipe:
        pipe.write("go on")
    assert await engine.ended(SOON)
    assert (tmp_path / "closed").exists() and list(socket_folder.iterdir()) == []


async def test_shutdown_is_confirmed_and_ends_the_engine(
    engine: EngineProcess, tmp_path: Path
) -> None:
    one = await connect_and_open(engine, tmp_path)
    one.send(Shutdown(id=9))
    assert Confirmed(id=9) in await one.to_the_end()
    assert (tmp_path / "closed").exists()


async def test_sigterm_closes_the_session(engine: EngineProcess, tmp_path: Path) -> None:
    one = await connect_and_open(engine, tmp_path)
    os.kill(engine.pid, signal.SIGTERM)
    await one.to_the_end()
    assert (tmp_path / "closed").exists()


async def test_stop_ends_the_process(engine: EngineProcess, tmp_path: Path) -> None:
    await connect_and_open(engine, tmp_path)
    async with asyncio.timeout(SOON):
        await engine.stop()
    assert not engine.alive


def test_the_engine_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Even if that process is killed and no client is connected."""
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


async def test_a_failure_is_reported_with_the_path_of_the_log(
    engine: EngineProcess, tmp_path: Path
) -> None:
    one = await connect_and_open(engine, tmp_path)
    one.send(Audit(id=2))
    failed = (await one.to_the_end())[-1]
    assert isinstance(failed, EngineFailed)
    assert "RuntimeError: the device is lost" in failed.sentence
    assert str(engine.log) in failed.sentence
    log = engine.log.read_text()
    assert "Traceback" in log and "the device is lost" in log
    assert "Traceback" not in engine.reason()
    assert "code 1: RuntimeError: the device is lost" in engine.reason()


async def test_the_reason_for_a_killed_engine_names_the_signal(
    engine: EngineProcess, tmp_path: Path
) -> None:
    one = await connect_and_open(engine, tmp_path)
    os.kill(engine.pid, signal.SIGKILL)
    await one.to_the_end()
    reason = engine.reason()
    assert "killed (SIGKILL)" in reason and "perhaps" not in reason
    if oom_kills() is not None:
        assert "the kernel has killed no process for lack of memory" in reason


async def test_the_reason_for_a_crash_comes_from_the_log(
    engine: EngineProcess, tmp_path: Path
) -> None:
    one = await connect_and_open(engine, tmp_path)
    one.send(StartOver(id=2))
    await one.to_the_end()
    assert "died of SIGABRT: Fatal Python error: Aborted" in engine.reason()


async def test_connecting_fails_at_once_if_the_engine_cannot_start() -> None:
    process = EngineProcess.start([sys.executable, "-c", "import a_module_that_is_not_there"])
    with pytest.raises(EngineGone, match="code 1: ModuleNotFoundError.*Its log: "):
        await process.connect(timeout=SOON)


async def test_output_of_libraries_is_logged_in_the_run_directory(
    engine: EngineProcess, tmp_path: Path
) -> None:
    one = await connect_and_open(engine, tmp_path)
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

"""How a command ends: signals, a killed process, a closed pipe."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import SMALL, events_named, start, strict
from tests.support.fork_server import ForkedProcess

LIMIT = 120


Process = subprocess.Popen[str] | ForkedProcess


@pytest.fixture
def training(environment: dict[str, str], images: Path) -> Iterator[Process]:
    """A long run that has taken its first step."""
    process = start("train", images, *SMALL, "--json", "--steps", "100000", env=environment)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "step":
            break
    yield process
    process.kill()
    process.communicate()


def engine_of(process: Process) -> int:
    """The process id of the engine that a command has started."""
    (pid,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(pid)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 75),
        pytest.param(signal.SIGUSR1, 75, marks=pytest.mark.thorough),
    ],
)
def test_a_signal_ends_the_command_and_its_engine(
    number: signal.Signals, code: int, training: Process
) -> None:
    engine = os.pidfd_open(engine_of(training))
    training.send_signal(number)
    output, errors = training.communicate(timeout=LIMIT)
    assert (training.returncode, errors) == (code, "")
    lines = strict(output)
    last = events_named(lines, "checkpoint")[-1]
    assert last["name"] == "last" and Path(last["path"]).is_file()
    assert lines[-1] == {"event": "ended", "step": last["step"], "reason": "stopped"}
    assert select.select([engine], [], [], 0)[0]  # it has ended already
    os.close(engine)


def test_a_killed_command_leaves_no_engine(training: Process) -> None:
    engine = os.pidfd_open(engine_of(training))
    training.kill()
    assert select.select([engine], [], [], LIMIT)[0]
    os.close(engine)


def test_a_killed_engine_is_reported(training: Process) -> None:
    os.kill(engine_of(training), signal.SIGKILL)
    output, errors = training.communicate(timeout=LIMIT)
    assert training.returncode == 1
    strict(output)
    assert "killed (SIGKILL)" in errors
    assert "Traceback" not in errors


def test_a_closed_pipe_ends_the_command_without_a_message(training: Process) -> None:
    assert training.stdout is not None and training.stderr is not None
    engine = os.pidfd_open(engine_of(training))
    training.stdout.close()
    assert training.wait(LIMIT) == 141
    assert training.stderr.read() == ""
    assert select.select([engine], [], [], 0)[0]
    os.close(engine)

"""The app in a pseudo-terminal: the engine or the app itself is killed or ended.

What `tl-tui attach` shows afterwards is in `tests/system/test_detach.py`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from engine.training import checkpoint
from tests.faults.fault_table import Place, fault
from tests.faults.training import SMALL, checkpoints_are_whole, ends, journal_is_readable
from tests.support.command_line import open_terminal, run
from tests.support.pseudo_terminal import Terminal
from tl_tui.runs.run_reader import read_run


@contextmanager
def app(place: Place) -> Iterator[Terminal]:
    """Start the app in a terminal and wait until it is ready."""
    words = (place.images, *SMALL)
    with open_terminal(*words, columns=100, rows=30, env=place.environment) as terminal:
        terminal.wait_for(r"fc +train")
        yield terminal


def _train_for_a_while(place: Place, terminal: Terminal) -> int:
    """Take some steps, and at random start training. Return the engine's process id."""
    for number in range(1, 2 + place.random.randrange(3)):
        terminal.press("t")
        terminal.wait_for(rf"step {number} ")
    if place.random.random() < 0.5:
        terminal.press("r")
    time.sleep(place.random.random() * 0.5)
    (engine,) = terminal.children()
    return engine


def _run_is_whole(place: Place) -> None:
    for config in (place.folder / "state").rglob("config.json"):
        checkpoints_are_whole(config.parent)
        journal_is_readable(config.parent)


@fault("engine killed (SIGKILL) under the screen, R goes on", full=10, like="terminal sessions")
def killed_under_the_screen(place: Place) -> None:
    with app(place) as terminal:
        engine = _train_for_a_while(place, terminal)
        os.kill(engine, signal.SIGKILL)
        terminal.wait_for("SIGKILL")
        _run_is_whole(place)
        terminal.press("R")
        terminal.wait_gone("SIGKILL")
        terminal.wait_until(lambda: terminal.children() not in ([], [engine]), "another engine")
        terminal.wait_for(r"fc +train")
        terminal.press("escape", "t")
        terminal.wait_for(r"step \d+ ")
        terminal.press("ctrl+c")
        terminal.wait_for("Leave")
        terminal.press("ctrl+c")
        assert terminal.wait_exit() in (0, 130)
        assert terminal.restored
    _run_is_whole(place)


@fault(
    "screen killed (SIGKILL): the run goes on, tl-tui stop ends it", full=10, like="test_detach.py"
)
def screen_killed(place: Place) -> None:
    with app(place) as terminal:
        engine = _train_for_a_while(place, terminal)
        os.kill(terminal.process.pid, signal.SIGKILL)
        terminal.process.wait()
    _stopped(place, engine)


@fault(
    "SIGTERM, SIGHUP to the screen: the terminal as it was, the run goes on",
    full=10,
    like="test_detach.py",
)
def screen_asked_to_end(place: Place) -> None:
    with app(place) as terminal:
        engine = _train_for_a_while(place, terminal)
        terminal.process.send_signal(place.random.choice([signal.SIGTERM, signal.SIGHUP]))
        assert terminal.wait_exit() == 75
        assert terminal.restored
    _stopped(place, engine)


def _stopped(place: Place, engine: int) -> None:
    """Assert that the engine outlived its screen, and that `tl-tui stop` saves and ends it."""
    assert engine in place.processes(), "the engine went with its screen"
    (folder,) = [file.parent for file in (place.folder / "state").rglob("config.json")]
    said = run("stop", folder.name, env=place.environment)
    assert said.returncode == 0, said.stderr
    assert ends(engine), "it was asked to end"
    _run_is_whole(place)
    whole = read_run(folder)
    assert whole.state in ("paused", "done")
    saved = checkpoint.read(whole.checkpoints["last"]).about["step"]
    assert saved == whole.steps, "every step that was taken is saved"

"""Leave a run in the background and attach to it again, with real engines and pseudo-terminals."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import run
from tests.support.pseudo_terminal import PATIENCE, Terminal
from tests.system.conftest import Opener
from tl_tui.connect.discovery import running_engines


@pytest.fixture(autouse=True)
def home(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Let the test find the engines in its folder, and kill those that are left afterwards."""
    monkeypatch.setenv("TL_TUI_TMPDIR", environment["TL_TUI_TMPDIR"])
    yield environment
    for engine in engines():
        os.kill(engine, signal.SIGKILL)


def engines() -> list[int]:
    return [one.greeted.pid for one in running_engines()]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        about = Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
    return "Z" not in about.rpartition(")")[2].split()[0]


def ready(terminal: Terminal) -> Terminal:
    terminal.wait_for(r"Press t|BatchNorm statistics")
    terminal.wait_for("fc +train")
    return terminal


def step(terminal: Terminal, number: int) -> None:
    terminal.press("t")
    terminal.wait_for(rf"step {number} [·-] \d")


def steps_taken() -> int:
    (one,) = running_engines()
    return one.greeted.step


def test_a_run_left_in_the_background_continues_and_attach_shows_it(tl_tui: Opener) -> None:
    terminal = ready(tl_tui("--epochs", "10000"))
    terminal.press("2")
    terminal.wait_for(r"\[2 last stage\]")
    step(terminal, 1)
    step(terminal, 2)
    terminal.press("r")
    terminal.wait_for(r"epoch \d+ of")
    terminal.press("q")
    terminal.wait_for(r"d continue without a screen")
    terminal.press("d")
    assert terminal.wait_exit() == 0 and terminal.restored
    (engine,) = engines()
    left = steps_taken()
    name = re.search(r"tl-tui attach (\S+) +returns", terminal.text)
    assert name is not None, terminal.text

    back = tl_tui("attach", columns=120, rows=40)  # the only one
    back.wait_for(r"fc +(▸ +)?train +updated")
    back.wait_for(r"epoch \d+ of 10,?000")
    assert "[2 last stage]" in back.text
    back.wait_until(lambda: steps_taken() > left + 10, "more steps")
    back.wait_for("now +0?\\.\\d\\d")  # the legend of the curve
    assert engines() == [engine]
    back.press("r")
    back.wait_for("Paused after step")
    back.press("4")
    back.wait_for(r"\[4 full\]")
    taken = steps_taken()
    back.press("t")
    back.wait_until(lambda: steps_taken() == taken + 1, "the step")
    back.press("q")
    back.wait_for("d keep the run open")
    back.press("q")
    assert back.wait_exit() == 0
    assert not alive(engine)


def test_closing_the_terminal_does_not_end_the_run(tl_tui: Opener) -> None:
    """As when the window is closed or an ssh connection is lost: the pseudo-terminal disappears."""
    terminal = ready(tl_tui("--epochs", "10000"))
    terminal.press("r")
    terminal.wait_for(r"step 3\b|step [4-9]|step \d\d")
    (engine,) = engines()
    terminal.hang_up()
    assert terminal.process.wait(PATIENCE) == 75
    before = steps_taken()
    back = tl_tui("attach")
    back.wait_until(lambda: steps_taken() > before, "more steps")
    back.wait_for(r"fc +train")
    assert engines() == [engine]


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGHUP, marks=pytest.mark.thorough)]
)
def test_after_the_screen_is_killed_the_run_pauses_if_so_chosen(
    tl_tui: Opener, number: signal.Signals
) -> None:
    terminal = ready(tl_tui("--epochs", "10000"))
    terminal.press(":")
    terminal.wait_for("Search|search")
    terminal.press("drops pause")
    terminal.wait_for("When the connection drops: pause")
    terminal.press("enter")
    terminal.wait_for("the run will pause. This choice is saved")
    terminal.press("r")
    terminal.wait_for(r"step [3-9]|step \d\d")
    os.kill(terminal.process.pid, number)
    terminal.process.wait(PATIENCE)
    back = tl_tui("attach")
    back.wait_for("fc +train")
    (one,) = running_engines()
    back.wait_until(lambda: not running_engines()[0].greeted.training, "the pause")
    taken = steps_taken()
    assert taken >= 3 and one.greeted.step <= taken
    step(back, taken + 1)


def test_of_two_screens_only_one_is_in_control(tl_tui: Opener) -> None:
    first = ready(tl_tui())
    step(first, 1)
    second = tl_tui("attach", columns=120, rows=40)
    second.wait_for("watching, W steers")
    first.wait_for("2 screens")
    second.wait_for(r"fc +(▸ +)?train +updated")

    # The second screen shows what the first one does; its own keys are refused.
    first.press("4")
    first.wait_for(r"\[4 full\]")
    second.wait_for(r"\[4 full\]")
    second.press("1")
    second.wait_for("Another screen steers this run; this one only watches")
    second.wait_for(r"\[4 full\]")
    second.press("t")
    second.settle()
    assert steps_taken() == 1

    # It takes control, and the first one only watches.
    second.press("W")
    second.wait_for("This screen steers")
    first.wait_for("watching, W steers")
    second.press("1")
    first.wait_for(r"\[1 head\]")
    second.press("t")
    first.wait_for(r"step 2 · ")

    # The screen in control leaves without a question; the other one keeps the run.
    second.press("q")
    assert second.wait_exit() == 0
    assert "stays open on its other screen" in second.text
    first.wait_for("This screen steers and is alone now")
    step(first, 3)


def test_stop_ends_a_run_and_saves_it(tl_tui: Opener, home: dict[str, str]) -> None:
    terminal = ready(tl_tui("--epochs", "10000"))
    terminal.press("r")
    terminal.wait_for(r"step [3-9]|step \d\d")
    os.kill(terminal.process.pid, signal.SIGHUP)
    assert terminal.wait_exit() == 75
    (engine,) = running_engines()
    stopped = run("stop", engine.name[:15], env=home)
    assert stopped.returncode == 0, stopped.stderr
    assert f"{engine.name} has ended; tl-tui resume {engine.name} continues it." in stopped.stdout
    assert running_engines() == []
    assert (Path(engine.greeted.run_dir) / "checkpoints" / "last.safetensors").exists()
    again = run("stop", engine.name, env=home)
    assert again.returncode == 2
    assert f"tl-tui resume {engine.name} --screen continues it" in again.stderr


def test_attach_lists_several_runs_to_choose_from(tl_tui: Opener) -> None:
    for strategy in ("full", "last-stage"):
        terminal = ready(tl_tui("--strategy", strategy))
        step(terminal, 1)
        os.kill(terminal.process.pid, signal.SIGHUP)
        assert terminal.wait_exit() == 75
    assert len(engines()) == 2, "both answer"
    chooser = tl_tui("attach")
    chooser.wait_for("Running engines")
    assert len(re.findall(r"resnet18 · squares · 1 step · waits", chooser.text)) == 2
    chooser.press("2")
    chooser.wait_for(r"fc +train")
    assert "[4 full]" in chooser.text, "the older of the two"


def test_attach_and_stop_without_a_run_explain_what_to_do(
    home: dict[str, str], tl_tui: Opener
) -> None:
    terminal = tl_tui("attach")
    assert terminal.wait_exit() == 2
    assert "No run is in progress here" in terminal.text
    piped = run("attach", env=home)
    assert piped.returncode == 2 and "needs a terminal" in piped.stderr
    unknown = run("stop", "20200101", env=home)
    assert unknown.returncode == 2 and "no run 20200101" in unknown.stderr

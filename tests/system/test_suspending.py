"""Ctrl-Z suspends the screen and fg restores it, in a real shell; the engine runs on."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import TL_TUI, isolated_environment
from tests.support.pseudo_terminal import Terminal
from tests.support.ssh_server import WHY_NOT, SshServer
from tests.system.conftest import SMALL, Opener
from tl_tui.connect.discovery import running_engines


@pytest.fixture(autouse=True)
def home(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the test find the engines in its folder, and kill those that are left afterwards."""
    monkeypatch.setenv("TL_TUI_TMPDIR", environment["TL_TUI_TMPDIR"])
    yield
    for engine in running_engines():
        os.kill(engine.greeted.pid, signal.SIGKILL)


def open_shell(environment: dict[str, str], *words: str) -> Terminal:
    """Open an interactive shell in a terminal, and start tl-tui in it."""
    shell = Terminal(
        ["bash", "--noprofile", "--norc", "-i"],
        env=environment | {"PS1": "shell$ ", "HISTFILE": "", "INPUTRC": "/dev/null"},
    )
    wait_for_prompt(shell)
    command = shlex.join([*TL_TUI, *words])
    Path(environment["TL_TUI_TMPDIR"], "start").write_text(f"exec {command}\n")
    shell.press(f"sh {environment['TL_TUI_TMPDIR']}/start", "enter")
    return shell


def wait_for_prompt(shell: Terminal) -> None:
    def at_cursor() -> str:
        cursor = shell.screen.cursor
        return shell.screen.display[cursor.y][: cursor.x]

    shell.wait_until(lambda: at_cursor().endswith("shell$ "), "the prompt of the shell")


def execute(shell: Terminal, command: str) -> None:
    shell.press(command, "enter")


def assert_terminal_restored(shell: Terminal) -> None:
    """Assert that the shell has its screen, its cursor, no mouse reports, and a cooked mode."""
    raw = bytes(shell.raw)
    for name in (b"1049", b"1000"):
        assert raw.rfind(b"\x1b[?%sl" % name) > raw.rfind(b"\x1b[?%sh" % name)
    assert raw.rfind(b"\x1b[?25h") > raw.rfind(b"\x1b[?25l")
    execute(shell, "clear; stty -a | tr ';' '\\n'")
    shell.wait_for(r"(?<!-)\bicanon\b")
    shell.wait_for(r"(?<!-)\becho\b")
    shell.wait_for(r"(?<!-)\bisig\b")
    wait_for_prompt(shell)


def steps_taken() -> int:
    (one,) = running_engines()
    return one.greeted.step


def test_ctrl_z_returns_to_the_shell_and_fg_to_the_screen(
    tl_tui: Opener, environment: dict[str, str]
) -> None:
    first = tl_tui("--epochs", "10000")
    first.wait_for("fc +train")
    first.press("r")
    first.wait_for(r"epoch \d+ of")
    first.press("ctrl+z")  # As in a container, its only process is tl-tui.
    first.wait_for("No shell started this program")
    with open_shell(environment, "attach") as shell:
        shell.wait_for(r"epoch \d+ of")
        shell.wait_for("fc +train")
        shell.press("ctrl+z")
        shell.wait_for("Stopped")
        wait_for_prompt(shell)
        assert_terminal_restored(shell)
        taken = steps_taken()
        shell.wait_until(lambda: steps_taken() > taken, "steps of the engine")

        execute(shell, "clear; bg")  # It needs the terminal, so it stops again.
        execute(shell, 'until [ -n "$(jobs -s)" ]; do sleep 0.05; done; echo stopped" again"')
        shell.wait_for("stopped again")
        wait_for_prompt(shell)

        execute(shell, "fg")
        shell.wait_for(r"fc +train")
        shell.wait_for(r"epoch \d+ of")
        shell.wait_for("quit")
        assert "shell$" not in shell.text
        shell.press("down")
        shell.wait_until(lambda: "▸" in shell.line(r"layer4.1 "), "the cursor")

        shell.press("ctrl+z")  # and the window is resized meanwhile
        shell.wait_for("Stopped")
        wait_for_prompt(shell)
        shell.resize(100, 30)
        execute(shell, "fg")
        shell.wait_for("fc +train")
        shell.wait_until(lambda: "quit" in shell.screen.display[-1], "the larger screen")
        shell.press("q")
        wait_for_prompt(shell)
        assert_terminal_restored(shell)
        assert "stays open on its other screen" not in shell.text  # cleared with the rest


@pytest.mark.thorough
def test_a_stopped_screen_is_restored_after_sigcont(
    tl_tui: Opener, environment: dict[str, str]
) -> None:
    """As by `kill -STOP` in another terminal, which the app cannot prepare for."""
    first = tl_tui("--epochs", "10000")
    first.wait_for("fc +train")
    first.press("t")
    first.wait_for(r"step 1 · \d")
    with open_shell(environment, "attach") as shell:
        shell.wait_for("fc +train +updated")
        (app,) = shell.children()
        os.kill(app, signal.SIGSTOP)
        wait_for_prompt(shell)
        execute(shell, "clear")
        shell.wait_gone("quit")
        execute(shell, "fg")
        shell.wait_until(lambda: "quit" in shell.screen.display[-1], "the screen")
        shell.press("q")
        wait_for_prompt(shell)
        assert_terminal_restored(shell)


@pytest.mark.thorough
@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_a_screen_of_a_remote_engine_is_suspended_and_restored(
    environment: dict[str, str], tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    (there / "ssh").mkdir(parents=True)
    monkeypatch.setenv("TL_TUI_TMPDIR", str(there))
    server = SshServer(there / "ssh", isolated_environment(there), delay=0.05)
    here = environment | {"PATH": server.path}
    remote = " ".join(TL_TUI)
    words = ("--host", server.HOST, "--remote-command", remote, str(images), *SMALL)
    try:
        with open_shell(here, *words, "--epochs", "10000") as shell:
            shell.wait_for(r"continue connecting \(yes/no")
            shell.press("yes", "enter")
            shell.wait_for("fc +train")
            shell.press("r")
            shell.wait_for(r"epoch \d+ of")
            shell.press("ctrl+z")
            shell.wait_for("Stopped")
            wait_for_prompt(shell)
            assert_terminal_restored(shell)
            taken = steps_taken()
            shell.wait_until(lambda: steps_taken() > taken, "steps of the engine")
            execute(shell, "fg")
            shell.wait_for("fc +train")
            shell.wait_for(r"epoch \d+ of")
            shell.press("r")
            shell.wait_for("Paused after step")
            shell.press("q")
            shell.wait_for(r"Leave\?")
            shell.press("q")
            wait_for_prompt(shell)
            assert_terminal_restored(shell)
    finally:
        for one in running_engines():
            os.kill(one.greeted.pid, signal.SIGKILL)
        server.close()

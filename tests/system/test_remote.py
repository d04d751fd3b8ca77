"""An engine on another host: a real sshd on loopback, with a slow connection that is cut."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import TL_TUI, isolated_environment, open_terminal
from tests.support.ssh_server import WHY_NOT, SshServer
from tests.system.conftest import SMALL
from tl_tui.connect.discovery import running_engines

pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

REMOTE = " ".join(TL_TUI)
DELAY_S = 0.1
"""Delay in each direction: a round trip of 200 ms."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    there = tmp_path / "there"
    (there / "ssh").mkdir(parents=True)
    monkeypatch.setenv("TL_TUI_TMPDIR", str(there))
    server = SshServer(there / "ssh", isolated_environment(there), delay=DELAY_S)
    yield server
    for one in running_engines():
        os.kill(one.greeted.pid, signal.SIGKILL)
    server.close()


@pytest.fixture
def here(tmp_path: Path, server: SshServer) -> dict[str, str]:
    """The environment of the screen, which shares no folder with the server."""
    return isolated_environment(tmp_path / "here") | {"PATH": server.path}


def steps_taken() -> int:
    (one,) = running_engines()
    return one.greeted.step


def test_a_remote_run_survives_a_cut_connection_and_detaching(
    server: SshServer, here: dict[str, str], images: Path
) -> None:
    host = ["--host", server.HOST]
    words = [*host, "--remote-command", REMOTE, images, *SMALL, "--epochs", "10000"]
    with open_terminal(*words, env=here) as terminal:
        # ssh asks before the screen opens; the output of start-up files is skipped.
        terminal.wait_for(r"continue connecting \(yes/no")
        assert b"\x1b[?1049h" not in terminal.raw
        terminal.press("yes", "enter")
        terminal.wait_for(r"Press t|BatchNorm statistics")
        terminal.wait_for("fc +train")
        assert "Welcome to gpu1" not in terminal.text and "start-up file" not in terminal.text
        (engine,) = [one.greeted.pid for one in running_engines()]

        # A key shows its effect although the connection delivers nothing.
        server.line.stall()
        terminal.press("2")
        terminal.wait_for(r"\[2 last stage\]")
        assert "→ train" in terminal.text or "train" in terminal.line("layer4.1 ")
        server.line.flow()
        terminal.press("t")
        terminal.wait_for(r"step 1 · \d")
        terminal.wait_for(r"layer4.1 +train +updated")

        # The connection is cut during a run: the run and the screen both continue.
        terminal.press("r")
        terminal.wait_for(r"epoch \d+ of")
        server.line.refuses = True
        before = server.line.connections
        server.line.cut()
        terminal.wait_for("not connected")
        taken = steps_taken()
        terminal.press("down", "down", "space")
        terminal.wait_for(r"layer4.0 +(▸ +)?→ frozen")
        terminal.wait_until(lambda: steps_taken() > taken, "steps without a line")
        terminal.wait_until(lambda: server.line.connections > before, "an attempt")
        server.line.refuses = False
        terminal.wait_gone("not connected")
        terminal.wait_for(r"epoch \d+ of")
        assert [one.greeted.pid for one in running_engines()] == [engine]
        terminal.wait_until(lambda: running_engines()[0].greeted.screens == 1, "no stale relay")
        terminal.wait_for(r"layer4.0 +(▸ +)?frozen")  # chosen while the connection was cut
        assert "[by hand]" in terminal.text

        # Detached, and attached again with the remembered remote command.
        terminal.press("q")
        terminal.wait_for("d continue without a screen")
        terminal.press("d")
        assert terminal.wait_exit() == 0 and terminal.restored
        assert f"tl-tui attach --host {server.HOST}" in terminal.text
    with open_terminal("attach", *host, env=here, columns=120, rows=40) as back:
        back.wait_for(r"layer4.1 ▸ +train +updated")
        back.wait_for(r"epoch \d+ of 10,?000")
        back.press("q")
        back.wait_for("d continue without a screen")
        back.press("q")
        assert back.wait_exit() == 0
        back.wait_until(lambda: running_engines() == [], "the engine's end")


def test_connection_problems_are_reported_before_the_screen_opens(
    server: SshServer, here: dict[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "other-version"
    other.write_text('#!/bin/sh\necho\necho \'tl-tui-relay:{"protocol": 99, "version": "9.9"}\'\n')
    other.chmod(0o755)
    with open_terminal(
        "--host", server.HOST, "--remote-command", "no-tl-tui-here", env=here
    ) as terminal:
        terminal.wait_for("continue connecting")
        terminal.press("yes", "enter")
        assert terminal.wait_exit() == 2
        assert "does not find no-tl-tui-here there" in terminal.text.replace("\n", "")
    with open_terminal(
        "--host", server.HOST, "--remote-command", str(other), env=here, columns=200
    ) as terminal:
        assert terminal.wait_exit() == 2
        text = " ".join(terminal.text.split())
        assert "gpu1 has tl-tui 9.9 (protocol 99), but this machine has" in text
        assert "Install the same version on both" in text
    with open_terminal(
        "attach", "--host", server.HOST, "--remote-command", REMOTE, env=here, columns=200
    ) as terminal:
        assert terminal.wait_exit() == 2
        assert "gpu1: No run is active there" in " ".join(terminal.text.split())
    server.line.refuses = True
    with open_terminal("stop", "--host", server.HOST, "a-run", env=here, columns=200) as terminal:
        assert terminal.wait_exit() == 2
        assert "ssh cannot connect to gpu1" in terminal.text
    with open_terminal("--host", server.HOST, env=here) as terminal:
        assert terminal.wait_exit() == 2
        assert "ssh cannot connect to gpu1" in terminal.text
        assert b"\x1b[?1049h" not in terminal.raw

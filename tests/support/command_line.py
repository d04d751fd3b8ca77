"""Run `tl-tui` as a process of its own: to its end, in the background, or in a terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from tests.support.fork_server import ForkedProcess, ForkServer
from tests.support.paths import ROOT
from tests.support.pseudo_terminal import PATIENCE, Terminal, launch_program

TL_TUI = [sys.executable, str(ROOT / "tl_tui/__main__.py")]
"""The command line of a `tl-tui` that runs in an interpreter of its own."""

SMALL = ("--weights", "none", "--image-size", "32", "--batch-size", "4", "--device", "cpu")
"""Options of runs that only have to run."""

_fork_server: ForkServer | None = None


def use_fork_server() -> None:
    """From now on, start processes by `tests.support.fork_server`."""
    global _fork_server
    _fork_server = ForkServer()


def isolated_environment(folder: Path) -> dict[str, str]:
    """Return variables that keep every file of `tl-tui` in a folder: state, caches, sockets."""
    return {
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_STATE_HOME": str(folder / "state"),
        "TORCH_HOME": str(folder / "torch"),
        "TL_TUI_TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",  # threads that wait for each other's cores cost more than they save
    }


def start(
    *arguments: str | Path,
    env: Mapping[str, str],
    cwd: str | os.PathLike[str] | None = None,
    fresh: bool = False,
) -> subprocess.Popen[str] | ForkedProcess:
    """Start `tl-tui ARGUMENTS` in the background, its output in pipes.

    Args:
        arguments: Without the program's name.
        env: Added to the environment of the tests.
        cwd: The working directory.
        fresh: Start an interpreter, for tests of how one starts.
    """
    words = list(map(str, arguments))
    if _fork_server is not None and not fresh:
        return _fork_server.start(words, env=os.environ | env, cwd=cwd or os.getcwd())
    return subprocess.Popen(
        [*TL_TUI, *words],
        env=os.environ | env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="surrogateescape",
    )


def run(
    *arguments: str | Path,
    env: Mapping[str, str],
    cwd: str | os.PathLike[str] | None = None,
    fresh: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run `tl-tui ARGUMENTS` to its end; arguments as for `start`."""
    process = start(*arguments, env=env, cwd=cwd, fresh=fresh)
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return subprocess.CompletedProcess(arguments, process.returncode or 0, output, errors)


def open_terminal(
    *arguments: str | Path,
    env: Mapping[str, str],
    columns: int = 80,
    rows: int = 24,
    answer_cursor: bool = True,
    fresh: bool = False,
) -> Terminal:
    """Start `tl-tui ARGUMENTS` in a pseudo-terminal.

    Args:
        arguments: Without the program's name.
        env: Added to a small clean environment; an empty value unsets.
        columns: Width in cells.
        rows: Height in cells.
        answer_cursor: See `Terminal`.
        fresh: Start an interpreter, for tests of how one starts.
    """
    return Terminal(
        [*TL_TUI, *map(str, arguments)],
        columns=columns,
        rows=rows,
        env=dict(env),
        answer_cursor=answer_cursor,
        launch=launch_program if fresh or _fork_server is None else _fork,
    )


def _fork(command: list[str], env: Mapping[str, str], terminal: int) -> ForkedProcess:
    assert _fork_server is not None
    return _fork_server.start(command[len(TL_TUI) :], env=env, cwd=ROOT, terminal=terminal)


# --- what it printed ----------------------------------------------------------------------------


def strict(text: str) -> list[Any]:
    """Return every line as strict JSON, which has no NaN."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def events_named(lines: list[Any], event: str) -> list[Any]:
    """Return the lines of `--json` that report one kind of event."""
    return [line for line in lines if line["event"] == event]


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one sentence on standard error with which a command refuses its arguments."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (sentence,) = done.stderr.splitlines()
    assert re.fullmatch(r"tl-tui: .*[.?)].*", sentence)
    return sentence

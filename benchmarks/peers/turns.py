"""A program that is measured in turn with others: it waits for a line, and answers with a line.

The parent's side is `Peer`. The program's side is `take_turns`, which imports nothing but the
standard library, for it runs in an environment of its own.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.table.row import Bench

ROOT = Path(__file__).resolve().parents[2]
TURN_S = 600


class Peer:
    """A program that takes a turn whenever it is asked."""

    def __init__(self, process: subprocess.Popen[str], name: str) -> None:
        self.process, self.name = process, name

    @classmethod
    def start(
        cls, bench: Bench, name: str, requirements: Sequence[str], module: str, *arguments: str
    ) -> Peer:
        """Start a program in the environment of a peer, and wait until it can be asked.

        Raises:
            NotHad: there is no such environment, or the program does not come to its first turn.
        """
        from benchmarks.harness.peer_environments import NotHad, python_with

        if bench.peers is None:
            raise NotHad("the peers were left out (--peers none).")
        python = python_with(bench.peers, name, *requirements)
        surroundings = {**os.environ, "WANDB_MODE": "offline"}
        try:
            return cls._running(bench, name, [python, "-m", module, *arguments], surroundings)
        except RuntimeError as error:
            raise NotHad(f"{error}.") from error

    @classmethod
    def as_an_engine(cls, bench: Bench, module: str, *arguments: str) -> Peer:
        """Start a program of ours in the environment that an engine's process gets.

        Raises:
            RuntimeError: it does not come to its first turn.
        """
        from tl_tui.connect.malloc_env import malloc_environment

        command = [sys.executable, "-m", module, *arguments]
        return cls._running(bench, module, command, malloc_environment(os.environ))

    @classmethod
    def _running(cls, bench: Bench, name: str, command: list[str], env: dict[str, str]) -> Peer:
        log = bench.folder("peers") / f"{name}.log"
        with open(log, "w") as errors:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**env, "PYTHONPATH": str(ROOT)},
            )
        peer = cls(process, name)
        try:
            peer.ask()  # its warm-up
        except (RuntimeError, BrokenPipeError) as error:
            peer.close()
            last = log.read_text().strip().splitlines()[-1:]
            raise RuntimeError(f"{name} does not run here: {''.join(last) or error}") from error
        return peer

    def ask(self) -> dict[str, Any]:
        """Have it take a turn; what it answers.

        Raises:
            RuntimeError: it ended, or takes longer than ten minutes.
        """
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("turn\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], TURN_S)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            raise RuntimeError(f"{self.name} did not answer")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def seconds(self) -> float:
        """Have it take a turn; how long that was."""
        return float(self.ask()["seconds"])

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def take_turns(measure: Callable[[], dict[str, float]]) -> None:
    """Answer every line on standard input with a measurement, until there are no more.

    What a library prints goes to standard error.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for _ in sys.stdin:
        answers.write(json.dumps(measure()) + "\n")
        answers.flush()

"""Programs that are measured alternately with others: they answer each line with a measurement.

`Peer` is the parent's side. `take_turns` is the program's side; it imports only the standard
library, because it runs in another environment.
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
"""The timeout of a turn in seconds."""


class Peer:
    """A program that measures once per request."""

    def __init__(self, process: subprocess.Popen[str], name: str) -> None:
        self.process, self.name = process, name

    @classmethod
    def start(
        cls, bench: Bench, name: str, requirements: Sequence[str], module: str, *arguments: str
    ) -> Peer:
        """Start a program in a peer's environment, and wait until it has warmed up.

        Args:
            bench: The settings of the measurement.
            name: The name of the environment.
            requirements: The packages to install, as requirement specifiers.
            module: The module to run.
            arguments: The program's arguments.

        Raises:
            PeerUnavailable: The environment cannot be created, or the first turn fails.
        """
        from benchmarks.harness.peer_environments import PeerUnavailable, python_with

        if bench.peers is None:
            raise PeerUnavailable("the peers were omitted (--peers none).")
        python = python_with(bench.peers, name, *requirements)
        env = {**os.environ, "WANDB_MODE": "offline"}
        try:
            return cls._launch(bench, name, [python, "-m", module, *arguments], env)
        except RuntimeError as error:
            raise PeerUnavailable(f"{error}.") from error

    @classmethod
    def as_an_engine(cls, bench: Bench, module: str, *arguments: str) -> Peer:
        """Start a program of ours with the environment variables of an engine's process.

        Raises:
            RuntimeError: The first turn fails.
        """
        from tl_tui.connect.malloc_env import malloc_environment

        command = [sys.executable, "-m", module, *arguments]
        return cls._launch(bench, module, command, malloc_environment(os.environ))

    @classmethod
    def _launch(cls, bench: Bench, name: str, command: list[str], env: dict[str, str]) -> Peer:
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
            peer.ask()  # the warm-up
        except (RuntimeError, BrokenPipeError) as error:
            peer.close()
            last = log.read_text().strip().splitlines()[-1:]
            raise RuntimeError(f"{name} failed to start: {''.join(last) or error}") from error
        return peer

    def ask(self) -> dict[str, Any]:
        """Request one measurement and return it.

        Raises:
            RuntimeError: The program has exited, or takes longer than `TURN_S`.
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
        """Request one measurement and return its seconds."""
        return float(self.ask()["seconds"])

    def close(self) -> None:
        """Kill the program and wait until it has exited."""
        self.process.kill()
        self.process.wait()


def take_turns(measure: Callable[[], dict[str, float]]) -> None:
    """Answer every line on standard input with a measurement, until the end of the input.

    Output of libraries is redirected to standard error.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for _ in sys.stdin:
        answers.write(json.dumps(measure()) + "\n")
        answers.flush()

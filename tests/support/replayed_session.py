"""Run `tl-tui` with an engine that replays prepared events.

    TL_TUI_TEST_EVENTS=FILE python -m tests.support.replayed_session train --json

The file holds a `Replay` as MessagePack. The engine appends every command it receives to
FILE.commands, one line per command.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.server import server
from tl_tui.connect.client import EngineProcess
from tl_tui.protocol.commands import AnyCommand, CrossValidate, Open, Train
from tl_tui.protocol.events import AnyEvent, Confirmed, WorkKind


class Replay(msgspec.Struct):
    """The events that the engine emits."""

    at_open: list[AnyEvent]
    """The events in response to Open."""
    at_train: list[AnyEvent]
    """The events in response to Train or CrossValidate."""
    at_close: list[AnyEvent] = []
    """The events emitted when the session is closed."""
    then: int = 0
    """The signal sent to the engine's parent process after all of `at_train`; 0 for none."""


class ReplayedSession:
    """A session that replays events instead of training."""

    def __init__(
        self, emit: Callable[[AnyEvent], None], on_run_dir: Callable[[Path], None]
    ) -> None:
        self.emit = emit
        self.busy = ""
        self.work_kind: WorkKind = "other"
        self.path = Path(os.environ["TL_TUI_TEST_EVENTS"])
        self.replay = msgspec.msgpack.decode(self.path.read_bytes(), type=Replay)
        self.waiting: list[AnyEvent] = []
        self.training = False

    def handle(self, command: AnyCommand) -> None:
        with open(f"{self.path}.commands", "ab") as log:
            log.write(msgspec.json.encode(command) + b"\n")
        self.emit(Confirmed(id=command.id))
        if isinstance(command, Open):
            self.waiting += self.replay.at_open
        elif isinstance(command, (Train, CrossValidate)):
            self.training = True
            self.waiting += self.replay.at_train

    def work(self) -> bool:
        if self.waiting:
            self.emit(self.waiting.pop(0))
            return True
        if self.training and self.replay.then:
            os.kill(os.getppid(), self.replay.then)
            self.training = False
        return False

    def close(self) -> None:
        for event in self.replay.at_close:
            self.emit(event)


def main() -> int:
    if sys.argv[1] == "serve":
        return server.main(sys.argv[2:], ReplayedSession)
    from tui.cli import main

    start = EngineProcess.start
    serve = [sys.executable, "-m", "tests.support.replayed_session", "serve"]
    EngineProcess.start = classmethod(lambda cls, **how: start(serve, **how))  # type: ignore[method-assign, assignment]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return main.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())

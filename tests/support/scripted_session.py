"""Run an engine's process with a scripted session in place of PyTorch.

Its commands do what the tests need: `Step` is a unit of work that waits until a test writes to the
named pipe in the data folder, `Train` emits many steps in one unit, `Audit` fails, `Pause` prints,
`UndoStartOver` creates a run directory, and `StartOver` crashes the interpreter.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from engine.server import server
from tests.support.stack_messages import opened
from tl_tui.protocol.commands import (
    AnyCommand,
    Audit,
    Open,
    Pause,
    SetMask,
    StartOver,
    Step,
    Train,
    UndoStartOver,
)
from tl_tui.protocol.events import AnyEvent, Confirmed, Refused, WorkKind
from tl_tui.protocol.training import LayerMeasurement, StepTaken, TrainEnded

ROWS = tuple(LayerMeasurement("updated", float(row), 1.0, 0.5, 0, 0.1) for row in range(50))


class ScriptedSession:
    """A session whose commands have the effects listed above."""

    def __init__(
        self, emit: Callable[[AnyEvent], None], on_run_dir: Callable[[Path], None]
    ) -> None:
        self.emit = emit
        self.on_run_dir = on_run_dir
        self.busy = ""
        self.work_kind: WorkKind = "other"
        self.folder = Path()
        self.units: list[Callable[[], None]] = []

    def handle(self, command: AnyCommand) -> None:
        match command:
            case Open():
                self.folder = Path(command.config.data or "")
                self.units.append(lambda: self.emit(opened()))
            case Step():
                self.units.append(self.wait)
            case Train():
                self.units.append(lambda: self.train(command.steps))
            case Audit():
                self.units.append(self.fail)
            case Pause():
                print("printed by Python", flush=True)
                os.write(1, b"written by a library\n")
            case UndoStartOver():
                run_dir = self.folder / "run"
                run_dir.mkdir()
                self.on_run_dir(run_dir)
            case StartOver():
                os.abort()
            case SetMask(trainable=()):
                self.emit(Refused(id=command.id, reason="An empty mask, for once."))
                return
        self.emit(Confirmed(id=command.id))

    def work(self) -> bool:
        if not self.units:
            return False
        self.units.pop(0)()
        self.busy = ""
        return True

    def wait(self) -> None:
        self.busy = "waiting for the test"
        (self.folder / "pipe").read_text()  # blocks until the test writes to this named pipe
        self.emit(step(1))

    def train(self, steps: int) -> None:
        self.busy = "training"
        for number in range(1, steps + 1):
            self.emit(step(number))
        self.emit(TrainEnded(start=0, step=steps, reason="done"))

    def fail(self) -> None:
        raise RuntimeError("the device is lost")

    def close(self) -> None:
        if self.folder != Path():
            (self.folder / "closed").touch()


def step(number: int) -> StepTaken:
    return StepTaken(
        start=0,
        step=number,
        epoch=1,
        loss=1.0 / number,
        correct=1,
        batch=2,
        seconds=0.1,
        mask=(0,),
        rows=ROWS,
    )


if __name__ == "__main__":
    server.LAST_UNIT_S = 0.5
    sys.exit(server.main(sys.argv[1:], ScriptedSession))

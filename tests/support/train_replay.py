"""Events of a made-up run, and readers of what `tl-tui train` prints for them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from tests.support.replayed_session import Replay
from tests.support.stack_messages import opened, step_taken
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import (
    Cycle,
    CycleBegan,
    MaskPlanned,
    Plan,
    PlanPhase,
)
from tl_tui.protocol.training import (
    CheckpointSaved,
    ImageSkipped,
    StepTaken,
    TrainBegan,
    TrainEnded,
    Validated,
)

PROGRAM = [sys.executable, "-m", "tests.support.replayed_session"]


SESSION = opened()


FULL = tuple(range(len(SESSION.stack.owners)))


PLAN = Plan(
    name="lp-ft",
    phases=(
        PlanPhase(name="head", trainable=SESSION.trainable, after_step=0, steps=8, epoch=1),
        PlanPhase(name="full", trainable=FULL, after_step=8, steps=8, epoch=2),
    ),
)


def step(number: int, epoch: int = 1, **changes: Any) -> StepTaken:
    return step_taken(SESSION.stack, SESSION.trainable, step=number, epoch=epoch, **changes)


def plain(taken: StepTaken) -> StepTaken:
    """Without the measurements."""
    return msgspec.structs.replace(taken, rows=(), owners=())


def validated(at_step: int, epoch: int, correct: int, **changes: Any) -> Validated:
    fields: dict[str, Any] = {
        "per_class": ((40, 40), (correct - 40, 40)),
        "yardstick": False,
        "loss": 0.312,
        "total": 80,
    }
    return Validated(start=0, step=at_step, epoch=epoch, correct=correct, **(fields | changes))


def saved(name: str, at_step: int, failure: str = "") -> CheckpointSaved:
    return CheckpointSaved(
        name=name, path=f"runs/test/{name}.pt", start=0, step=at_step, failure=failure
    )


RUN: list[AnyEvent] = [
    TrainBegan(start=0, step=0, to_step=16),
    step(1, loss=0.7, lr_factor=0.5, seconds_left=200.4),
    plain(step(2)),
    ImageSkipped(path="flowers/a\x1b[31m.jpg", reason="truncated", total=1),
    validated(8, 1, 71, best=True),
    saved("best", 8),
    saved("last", 8),
    MaskPlanned(trainable=FULL, reason="plan lp-ft: full"),
    CycleBegan(cycle=Cycle(after_step=8, steps=8), reason="plan lp-ft: full"),
    step(9, 2, seconds_left=3.2),
    CycleBegan(cycle=Cycle(after_step=9, steps=16), reason="by hand"),
    validated(16, 2, 60, skipped_images=2),
    saved("last", 16, failure="no space left on the device"),
    TrainEnded(start=0, step=16, reason="done"),
]


Train = Callable[..., subprocess.CompletedProcess[str]]


def write(folder: Path, replay: Replay) -> None:
    (folder / "events").write_bytes(msgspec.msgpack.encode(replay))


def sent(folder: Path) -> list[dict[str, Any]]:
    """The commands that the engine got."""
    return [json.loads(line) for line in (folder / "events.commands").read_text().splitlines()]


def strict(text: str) -> list[Any]:
    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def lines_of(done: subprocess.CompletedProcess[str], event: str) -> list[dict[str, Any]]:
    lines = [line for line in strict(done.stdout) if line["event"] == event]
    for line in lines:
        del line["event"]
    return lines

"""Gradients that are not finite, and steps that run out of memory, in a real engine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

from tests.faults.fault_table import SOON, Place, fault
from tests.faults.storage import environment
from tests.faults.training import STEPS, checkpoints_are_whole, losses, reference
from tl_tui.connect.client import Connection, EngineProcess
from tl_tui.protocol.commands import Audit, Open, Train
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import AnyEvent, Confirmed
from tl_tui.protocol.session import SessionOpened
from tl_tui.protocol.training import StepNotApplied, TrainEnded

BROKEN = [sys.executable, "-m", "tests.faults.broken_engine"]
ROOM = 1 << 20


def config(place: Place) -> RunConfig:
    """Return the configuration of `training.SMALL`, with a run in the folder of this place."""
    return RunConfig(
        data=str(place.images),
        arch="shufflenet_v2_x0_5",
        weights="none",
        device="cpu",
        image_size=32,
        batch_size=8,
        epochs=4,
        lr_schedule="cosine",
        probe_every=1,
        checkpoint_every=2,
        run_dir=str(place.folder / "run"),
    )


class Talk:
    """A connection to an engine, and the events it has received."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.heard = connection, list[AnyEvent]()
        self.events: AsyncIterator[AnyEvent] = connection.__aiter__()
        self._id = 0

    def send(self, command: type, **fields: object) -> int:
        self._id += 1
        self.connection.send(command(id=self._id, **fields))
        return self._id

    async def until(self, kind: type) -> AnyEvent:
        async with asyncio.timeout(SOON):
            async for event in self.events:
                self.heard.append(event)
                if isinstance(event, kind):
                    return event
        raise AssertionError(f"the engine ended before {kind.__name__}: {self.heard[-3:]}")


async def _talk(place: Place, **broken: str) -> tuple[EngineProcess, Talk]:
    with environment(TL_TUI_TMPDIR=str(place.folder), OMP_NUM_THREADS="1", **broken):
        engine = EngineProcess.start(BROKEN)
        talk = Talk(await engine.connect(timeout=SOON, lossless=True))
    talk.send(Open, config=config(place))
    await talk.until(SessionOpened)
    return engine, talk


@fault("gradient not finite at a chosen layer", full=10, like="test_step_errors.py")
def gradient_not_finite(place: Place) -> None:
    """The step is refused with the layer's name, and training continues once the fault is gone."""

    async def drive() -> None:
        step = 1 + place.random.randrange(STEPS)
        owner = place.random.choice(["conv1.0", "stage2.1.branch2.0", "stage4.0.branch1.2", "fc"])
        engine, talk = await _talk(place, FAULT_NAN=f"{step}:{owner}")
        try:
            talk.send(Train)
            told = await talk.until(StepNotApplied)
            ended = await talk.until(TrainEnded)
            assert isinstance(told, StepNotApplied) and isinstance(ended, TrainEnded)
            assert (told.step, ended.reason, told.memory) == (step, "failed", False)
            assert owner.split(".")[0] in told.sentence and "gradient" in told.sentence
            talk.send(Audit)
            talk.send(Train)
            ended = await talk.until(TrainEnded)
            assert isinstance(ended, TrainEnded) and ended.reason == "done"
            await talk.connection.close()
            assert await engine.ended(SOON)
        finally:
            engine.kill()

    asyncio.run(drive())
    assert losses(place.folder / "run") == reference(place)
    checkpoints_are_whole(place.folder / "run")


@fault("out of memory in a step (RLIMIT_AS)", full=10)
def out_of_memory(place: Place) -> None:
    """The step may fit into the random amount of memory or not; if not, it changes nothing."""

    async def drive() -> None:
        room = place.random.randrange(ROOM, 24 * ROOM)
        engine, talk = await _talk(place, FAULT_MEMORY=str(room))
        try:
            talk.send(Train, steps=2)
            await talk.until(TrainEnded)
            talk.send(Audit)
            talk.send(Train, steps=5)
            ended = await talk.until(TrainEnded)
            assert isinstance(ended, TrainEnded)
            told = [event for event in talk.heard if isinstance(event, StepNotApplied)]
            assert (ended.reason == "failed") == bool(told), talk.heard[-3:]
            assert all(one.memory and "ran out of memory" in one.sentence for one in told)
            talk.send(Audit)
            await talk.until(Confirmed)
            talk.send(Train)
            ended = await talk.until(TrainEnded)
            assert isinstance(ended, TrainEnded) and ended.reason == "done"
            await talk.connection.close()
            assert await engine.ended(SOON)
        finally:
            engine.kill()

    asyncio.run(drive())
    taken = losses(place.folder / "run")
    assert [step for step, _ in taken] == list(range(1, STEPS + 1))
    assert taken == reference(place)
    checkpoints_are_whole(place.folder / "run")

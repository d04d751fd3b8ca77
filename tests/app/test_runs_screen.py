"""The list of runs: comparing and resuming runs, also after the engine has stopped."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.support.app_pilot import (
    make_app,
    ready,
    screen_lines,
    screen_text,
    steps_taken,
    wait_until,
)
from tests.support.scripted_engine import ScriptedEngine
from tl_tui.protocol.commands import Open, ResumeRun
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.session import HistorySent, StartCurves
from tl_tui.protocol.training import CheckpointSaved
from tl_tui.runs.journal_writer import JournalWriter, runs_directory


def make_run(name: str, steps: int, *, checkpoint: bool = True, right: int = 30) -> Path:
    """Write a run directory as an engine leaves it."""
    path = runs_directory() / name
    record = JournalWriter(path)
    record.begin(
        {
            "arch": "resnet18",
            "weights": "random",
            "data": "/data/flowers",
            "classes": ["a", "b"],
            "config": msgspec.to_builtins(RunConfig(weights="none")),
        }
    )
    for step in range(1, steps + 1):
        record.note("step", start=0, step=step, loss=1.0 / step)
    if steps:
        record.note(
            "validated",
            start=0,
            step=steps,
            correct=right,
            total=40,
            loss=0.5,
            yardstick=False,
            epoch=1,
            best=True,
        )
    record.note("train_ended", start=0, step=steps, reason="paused")
    record.close()
    if checkpoint:
        (path / "checkpoints").mkdir()
        (path / "checkpoints" / "last.safetensors").write_bytes(b"")
    return path


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 20)])
async def test_runs_are_listed_with_the_curve_of_the_selected_run(size):
    make_run("20260101-old", 40, right=31)
    make_run("20260102-new", 12, right=36)
    app = make_app(ScriptedEngine())
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        await pilot.press("w")
        await wait_until(pilot, lambda: "2 runs" in screen_lines(app)[0])
        text = screen_text(app)
        assert text.index("20260102-new") < text.index("20260101-old")
        assert "36 of 40, .90" in text and "this" in text
        await pilot.press("space", "down")
        await wait_until(
            pilot, lambda: "20260102" in screen_text(app).partition("training loss")[2]
        )
        await pilot.press("escape")
        await wait_until(pilot, lambda: "resnet18" in screen_lines(app)[0])


async def test_enter_resumes_another_run():
    path = make_run("20260101-other", 7)
    engine = ScriptedEngine()
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("t")
        await steps_taken(pilot, 1)
        engine.session = msgspec.structs.replace(engine.session, step=7, run_dir=str(path))
        await pilot.press("w")
        await wait_until(pilot, lambda: "1 run" in screen_lines(app)[0])
        await pilot.press("enter")
        await wait_until(pilot, lambda: engine.sent(ResumeRun))
        assert engine.sent(ResumeRun)[0].run == str(path) and engine.starts == 2
        await ready(pilot)
        losses = tuple((step, 1.0 / step) for step in range(1, 8))
        curves = StartCurves(
            start=0, weights="random", losses=losses, validations=((7, 30, 40, 0.5),)
        )
        engine.emit(HistorySent(starts=(curves,)))
        await wait_until(pilot, lambda: len(app.run_state.curves[-1].loss) == 7)
        assert app.run_state.step == 7 and len(app.run_state.curves) == 1


async def test_run_without_a_checkpoint_cannot_be_resumed():
    make_run("20260101-empty", 0, checkpoint=False)
    engine = ScriptedEngine()
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("w")
        await wait_until(pilot, lambda: "1 run" in screen_lines(app)[0])
        assert "no step yet" in screen_text(app)
        await pilot.press("enter")
        await wait_until(pilot, lambda: "cannot be resumed" in screen_text(app))
    assert not engine.sent(ResumeRun)


async def test_message_if_there_are_no_runs():
    app = make_app(ScriptedEngine())
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("w")
        await wait_until(pilot, lambda: "There are no runs yet" in screen_text(app))


async def test_restarted_engine_resumes_from_the_last_checkpoint():
    path = make_run("20260103-dead", 4)
    engine = ScriptedEngine(hold=True)
    engine.session = msgspec.structs.replace(engine.session, run_dir=str(path))
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        for step in (1, 2):
            await pilot.press("t")
            engine.release()
            await steps_taken(pilot, step)
        engine.emit(CheckpointSaved(name="last", path="x", start=0, step=1))
        await wait_until(pilot, lambda: app.run_state.training.checkpoints)
        engine.die()
        await wait_until(pilot, lambda: engine.reason in screen_text(app))
        await pilot.press("R")
        await ready(pilot)
        await wait_until(pilot, lambda: "continues from its last checkpoint" in screen_text(app))
        assert engine.sent(ResumeRun)[0].run == str(path) and len(engine.sent(Open)) == 1


@pytest.mark.parametrize("failure", ["", "No space left."])
async def test_resumed_run_is_resumed_again_when_its_engine_dies_again(failure: str):
    """Also if no checkpoint could be written since: the previous one is complete."""
    path = make_run("20260104-twice", 4)
    engine = ScriptedEngine(hold=True)
    engine.session = msgspec.structs.replace(engine.session, run_dir=str(path), step=4)
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        engine.emit(CheckpointSaved(name="last", path="x", start=0, step=4))
        await wait_until(pilot, lambda: app.run_state.training.saved)
        await pilot.press("t")
        engine.release()
        await wait_until(pilot, lambda: app.run_state.last is not None)
        if failure:
            engine.emit(CheckpointSaved(name="last", path="x", start=0, step=5, failure=failure))
            await wait_until(pilot, lambda: app.run_state.training.checkpoints["last"].failure)
        engine.die()
        await wait_until(pilot, lambda: engine.reason in screen_text(app))
        await pilot.press("R")
        await ready(pilot)
        assert engine.sent(ResumeRun)[0].run == str(path) and len(engine.sent(Open)) == 1


async def test_covered_message_is_shown_again_before_those_waiting():
    app = make_app(ScriptedEngine())
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        app.messages.show_now("This message is long enough to stay on the screen for a while.")
        app.messages.enqueue("This message waits.")
        await pilot.press("w")
        await wait_until(pilot, lambda: "no runs yet" in screen_text(app))
        await pilot.press("escape")
        await wait_until(pilot, lambda: "This message is long" in screen_text(app))

"""The runs on the screen: listed, compared, gone on with; and a dead engine's run goes on."""

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


@pytest.fixture(autouse=True)
def own_directories(tmp_path, monkeypatch):
    for name in ("CONFIG", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))


def made(name: str, steps: int, *, checkpoint: bool = True, right: int = 30) -> Path:
    """A run as an engine leaves it."""
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
async def test_runs_are_listed_with_the_curve_of_the_one_under_the_cursor(size):
    made("20260101-old", 40, right=31)
    made("20260102-new", 12, right=36)
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


async def test_another_run_is_gone_on_with():
    path = made("20260101-other", 7)
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
        told = StartCurves(
            start=0, weights="random", losses=losses, validations=((7, 30, 40, 0.5),)
        )
        engine.emit(HistorySent(starts=(told,)))
        await wait_until(pilot, lambda: len(app.run_state.curves[-1].loss) == 7)
        assert app.run_state.step == 7 and len(app.run_state.curves) == 1


async def test_what_cannot_be_gone_on_with_says_why():
    made("20260101-empty", 0, checkpoint=False)
    engine = ScriptedEngine()
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("w")
        await wait_until(pilot, lambda: "1 run" in screen_lines(app)[0])
        assert "no step yet" in screen_text(app)
        await pilot.press("enter")
        await wait_until(pilot, lambda: "nothing to go on from" in screen_text(app))
    assert not engine.sent(ResumeRun)


async def test_no_runs_is_said():
    app = make_app(ScriptedEngine())
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("w")
        await wait_until(pilot, lambda: "There are no runs yet" in screen_text(app))


async def test_a_dead_engines_run_goes_on_from_its_checkpoint():
    path = made("20260103-dead", 4)
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
        await wait_until(pilot, lambda: "goes on from its last checkpoint" in screen_text(app))
        assert engine.sent(ResumeRun)[0].run == str(path) and len(engine.sent(Open)) == 1


@pytest.mark.parametrize("failure", ["", "No space left."])
async def test_a_run_that_goes_on_is_not_forgotten_when_its_engine_dies_again(failure: str):
    """Also if nothing could be written since: what was written before is whole."""
    path = made("20260104-twice", 4)
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


async def test_a_notice_that_is_covered_is_shown_again_and_not_one_that_waits():
    app = make_app(ScriptedEngine())
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        app.messages.show_now("This is being said at some length, so that it stands for a while.")
        app.messages.enqueue("This waits for its turn.")
        await pilot.press("w")
        await wait_until(pilot, lambda: "no runs yet" in screen_text(app))
        await pilot.press("escape")
        await wait_until(pilot, lambda: "This is being said" in screen_text(app))

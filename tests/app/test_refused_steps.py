"""What the app says and offers when a step could not be applied."""

from __future__ import annotations

import pytest

from tests.support.app_pilot import make_app, ready, screen_text, steps_taken, wait_until
from tests.support.scripted_engine import ScriptedEngine
from tests.support.stack_messages import owners_named, resnet18_stack
from tl_tui.protocol.commands import Open, SetMask, Train
from tl_tui.protocol.training import StepNotApplied, TrainEnded

FC = tuple(owners_named(resnet18_stack(), "fc"))


@pytest.fixture(autouse=True)
def own_directories(tmp_path, monkeypatch):
    for name in ("CONFIG", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))


def refused(**fields) -> StepNotApplied:
    told = {"id": 0, "start": 0, "step": 2, "memory": True, "sentence": "Step 2 ran out of memory."}
    return StepNotApplied(**told | fields)


async def test_y_takes_the_mask_that_should_fit_and_u_takes_it_back():
    engine = ScriptedEngine()
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("4", "t")
        await steps_taken(pilot, 1)
        engine.emit(refused(trainable=FC, batch_size=4))
        await wait_until(pilot, lambda: "ran out of memory. y takes that mask" in screen_text(app))
        await pilot.press("y")
        await wait_until(pilot, lambda: engine.sent(SetMask)[-1].trainable == FC)
        assert app.run_state.wanted == frozenset(FC)
        await pilot.press("u")
        assert app.run_state.wanted == frozenset(range(len(resnet18_stack().owners)))
        await pilot.press("y")
        await wait_until(pilot, lambda: "Nothing is proposed" in screen_text(app))


async def test_y_opens_again_with_the_batch_that_should_fit_before_anything_was_trained():
    engine = ScriptedEngine()
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        engine.emit(refused(step=1, batch_size=4))
        await wait_until(pilot, lambda: "y opens again with batches of 4" in screen_text(app))
        await pilot.press("y")
        await wait_until(pilot, lambda: len(engine.sent(Open)) == 2)
        assert engine.sent(Open)[-1].config.batch_size == 4


async def test_a_smaller_batch_is_not_taken_in_the_middle_of_a_run():
    engine = ScriptedEngine()
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("t")
        await steps_taken(pilot, 1)
        engine.emit(refused(batch_size=4))
        await wait_until(pilot, lambda: "Step 2 ran out of memory." in screen_text(app))
        await pilot.press("y")
        await wait_until(pilot, lambda: "Nothing is proposed" in screen_text(app))
        assert len(engine.sent(Open)) == 1


async def test_training_that_is_refused_can_be_begun_again():
    engine = ScriptedEngine(hold=True)
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("r")
        await wait_until(pilot, lambda: engine.sent(Train))
        sentence = "Step 1 was not applied: the gradient is not finite; it is so first in layer3.1."
        engine.emit(refused(step=1, memory=False, row=6, sentence=sentence))
        engine.emit(TrainEnded(start=0, step=0, reason="failed"))
        await wait_until(pilot, lambda: not app.engine_session.running)
        await pilot.press("escape", "escape")
        assert any("first in layer3.1" in said for said in app.messages.history)
        await pilot.press("r")
        await wait_until(pilot, lambda: len(engine.sent(Train)) == 2)

"""What the app shows and proposes when a step was not applied."""

from __future__ import annotations

from tests.support.app_pilot import make_app, ready, screen_text, steps_taken, wait_until
from tests.support.scripted_engine import ScriptedEngine
from tests.support.stack_messages import owners_named, resnet18_stack
from tl_tui.protocol.commands import Open, SetMask, Train
from tl_tui.protocol.training import StepNotApplied, TrainEnded

FC = tuple(owners_named(resnet18_stack(), "fc"))


def refused(**fields) -> StepNotApplied:
    defaults = {
        "id": 0,
        "start": 0,
        "step": 2,
        "memory": True,
        "sentence": "Step 2 ran out of memory.",
    }
    return StepNotApplied(**defaults | fields)


async def test_y_applies_the_proposed_mask_and_u_undoes_it():
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
        await wait_until(pilot, lambda: "no proposal to accept" in screen_text(app))


async def test_y_reopens_with_the_proposed_batch_size_before_the_first_step():
    engine = ScriptedEngine()
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        engine.emit(refused(step=1, batch_size=4))
        await wait_until(pilot, lambda: "y opens again with batches of 4" in screen_text(app))
        await pilot.press("y")
        await wait_until(pilot, lambda: len(engine.sent(Open)) == 2)
        assert engine.sent(Open)[-1].config.batch_size == 4


async def test_batch_size_is_not_changed_after_the_first_step():
    engine = ScriptedEngine()
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("t")
        await steps_taken(pilot, 1)
        engine.emit(refused(batch_size=4))
        await wait_until(pilot, lambda: "Step 2 ran out of memory." in screen_text(app))
        await pilot.press("y")
        await wait_until(pilot, lambda: "no proposal to accept" in screen_text(app))
        assert len(engine.sent(Open)) == 1


async def test_training_can_start_again_after_a_refused_step():
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
        assert any("first in layer3.1" in message for message in app.messages.history)
        await pilot.press("r")
        await wait_until(pilot, lambda: len(engine.sent(Train)) == 2)

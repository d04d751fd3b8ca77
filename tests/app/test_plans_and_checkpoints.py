"""Plans, strategies, checkpoints and long curves in the app, on a scripted engine."""

from __future__ import annotations

import math
import re

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
from tests.support.stack_messages import (
    opened,
    owners_named,
    resnet18_stack,
    step_taken,
)
from tl_tui.protocol.commands import (
    BeginCycle,
    SetMask,
    SetPlan,
    UndoRestoreLayer,
)
from tl_tui.protocol.config import Recipe
from tl_tui.protocol.events import Refused
from tl_tui.protocol.session import LayerRestored, MaskPlanned
from tl_tui.protocol.training import CheckpointSaved, ImageSkipped, TrainBegan, Validated
from tui.state.run_state import RunState

STACK = resnet18_stack()


FC = frozenset(owners_named(STACK, "fc"))


BRICK = re.compile("[█░#:]{2}")


COSINE = Recipe(lr_head=1e-2, lr_pretrained=1e-3, weight_decay=1e-4, schedule="cosine")


def row_line(app, name: str) -> str:
    """Return the line of the stack that shows a row and its brick."""
    lines = (line for line in screen_lines(app) if f" {name} " in line and BRICK.search(line[:14]))
    return next(lines, "")


async def training(pilot, app, step: int) -> None:
    """Wait until training has reached a step."""
    await wait_until(pilot, lambda: app.run_state.step >= step)


class TestPlans:
    @pytest.mark.parametrize("size", [(80, 24), (120, 40)])
    async def test_stack_shows_a_plan_in_advance(self, size):
        engine = ScriptedEngine(hold=True)
        app = make_app(engine)
        async with app.run_test(size=size) as pilot:
            await ready(pilot)
            await pilot.press("s")
            await wait_until(pilot, lambda: "one stage more each epoch" in screen_text(app))
            await pilot.press("7")
            await wait_until(pilot, lambda: "[plan gradual] phase 1 of 6" in screen_text(app))
            assert "next thaw in epoch 2" in screen_lines(app)[1]
            assert "→ ep 2" in row_line(app, "layer4.1")
            assert "→ ep 6" in row_line(app, "conv1")
            assert "The plan gradual thaws layer4 in epoch 2." in screen_text(app)
            await pilot.press("r")
            for _ in range(8):
                engine.release()
            await training(pilot, app, 8)
            await wait_until(pilot, lambda: "phase 2 of 6: layer4" in screen_text(app))
            assert "→ train" in row_line(app, "layer4.0")
            assert "→ ep 3" in row_line(app, "layer3.1")
            await wait_until(pilot, lambda: "The plan gradual thawed layer4" in screen_text(app))
            for _ in range(3):
                engine.release()
            await training(pilot, app, 11)
            await wait_until(pilot, lambda: "updated" in row_line(app, "layer4.0"))
        assert [command.plan for command in engine.sent(SetPlan)] == ["gradual"]

    async def test_toggle_ends_the_plan_with_a_message(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("s", "6")
            await wait_until(pilot, lambda: "[plan lp-ft] phase 1 of 2" in screen_text(app))
            assert "→ ep 6" in row_line(app, "layer4.1")
            await pilot.press("down", "space")
            await wait_until(
                pilot, lambda: "The plan has ended (interrupted by hand)" in screen_text(app)
            )
            assert "by hand" in screen_lines(app)[1] and "ep 6" not in screen_text(app)

    async def test_message_says_how_the_schedule_continues_after_a_plan(self):
        engine = ScriptedEngine(hold=True)
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("s", "7", "r")
            for _ in range(9):
                engine.release()
            await training(pilot, app, 9)
            await pilot.press("4")
            message = "(interrupted by hand); the schedule of its phase ends with epoch 2"
            await wait_until(pilot, lambda: message in screen_text(app))
            assert "[4 full]" in screen_lines(app)[1]

    @pytest.mark.parametrize(("key", "shown"), [("1", "[1 head]"), ("s", "[1 head]")])
    async def test_strategy_or_no_plan_ends_the_plan_even_with_the_same_mask(self, key, shown):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("s", "7")
            await wait_until(pilot, lambda: "plan gradual" in screen_lines(app)[1])
            await pilot.press(key)
            if key == "s":
                await wait_until(pilot, lambda: "end the plan gradual" in screen_text(app))
                await pilot.press("0")
            await wait_until(pilot, lambda: shown in screen_lines(app)[1])
        assert [command.plan for command in engine.sent(SetPlan)] == ["gradual", None]

    async def test_plan_that_needs_more_epochs_is_refused_with_a_reason(self):
        engine = ScriptedEngine(opened(recipe=msgspec.structs.replace(COSINE, epochs=2)))
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("s", "7")
            await wait_until(pilot, lambda: "need at least 6 epochs" in screen_text(app))

    async def test_plan_in_ascii_and_monochrome(self):
        app = make_app(ScriptedEngine(), unicode=False, monochrome=True)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("s", "7")
            await wait_until(pilot, lambda: "-> ep 3" in row_line(app, "layer3.0"))
            await pilot.press("right_square_bracket")
            assert "*2e-2" in row_line(app, "fc")
            assert "".join(screen_lines(app)).isascii()

    def test_planned_mask_does_not_override_a_later_choice(self):
        state = RunState()
        state.apply(opened())
        mask = FC | set(owners_named(STACK, "layer4.1"))
        state.change_mask(mask, "by hand")
        state.sent_mask(7)
        everything = tuple(range(len(STACK.owners)))
        state.apply(MaskPlanned(trainable=everything, reason="plan lp-ft: full"))
        assert state.wanted == mask and not state.planned_why
        state.apply(Refused(id=7, reason="no"))
        assert state.wanted == frozenset(everything)


class TestBetweenMeasuredSteps:
    async def test_layer_thawed_since_the_measured_step_is_neither_a_finding_nor_pending(self):
        engine = ScriptedEngine(hold=True)
        app = make_app(engine)
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            await pilot.press("r")
            engine.release()  # the first step is measured
            await training(pilot, app, 1)
            await pilot.press("2")
            engine.release()
            await training(pilot, app, 2)
            await pilot.press("down")
            await wait_until(pilot, lambda: " train " in row_line(app, "layer4.1"))
            assert "→" not in row_line(app, "layer4.1")
            message = "Since then layer4 trains too, not measured yet."
            await wait_until(pilot, lambda: message in screen_text(app))
            await wait_until(pilot, lambda: "step 2 was not measured" in screen_text(app))
            assert "does not connect" not in screen_text(app)


class TestStrategies:
    async def test_5_chooses_bn_only_and_strategies_are_sent_by_name(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("5")
            assert "[5 BN only]" in screen_lines(app)[1] and "0.01 of 11.18 M" in screen_text(app)
            await pilot.press("down", "space")
        assert [command.strategy for command in engine.sent(SetMask)] == ["bn-only", None]
        assert frozenset(engine.sent(SetMask)[0].trainable) == frozenset(
            engine.session.strategies["bn-only"]
        )

    async def test_thawing_late_in_a_schedule_offers_a_new_cycle(self):
        engine = ScriptedEngine(opened(recipe=COSINE), hold=True)
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("r")
            for _ in range(71):
                engine.release()
            await training(pilot, app, 71)
            await pilot.press("r")
            await wait_until(pilot, lambda: not app.engine_session.running)
            await pilot.press("escape", "down", "space")
            await wait_until(pilot, lambda: "c begins a new cycle" in screen_text(app))
            assert app.run_state.training.factor(71) < 0.1
            await pilot.press("c")
            await wait_until(pilot, lambda: app.run_state.training.factor(71) == 1.0)
        assert len(engine.sent(BeginCycle)) == 1

    async def test_thawing_early_in_a_schedule_offers_none(self):
        app = make_app(ScriptedEngine(opened(recipe=COSINE)))
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("t")
            await steps_taken(pilot, 1)
            await pilot.press("down", "space")
            await wait_until(pilot, lambda: "You thawed layer4.1" in screen_text(app))
            assert "new cycle" not in screen_text(app)


class TestCheckpoints:
    @pytest.mark.parametrize("size", [(80, 24), (120, 40)])
    async def test_skipped_images_are_counted_in_the_title(self, size):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=size) as pilot:
            await ready(pilot)
            engine.emit(ImageSkipped(path="a.jpg", reason="it is truncated", total=3))
            await wait_until(pilot, lambda: "3 skipped" in screen_lines(app)[0])

    async def test_message_about_a_failed_checkpoint_stays_until_dismissed(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            failed = CheckpointSaved(name="last", path="x", start=0, step=0, failure="No space.")
            engine.emit(failed)
            await wait_until(pilot, lambda: "could not be saved: No space." in screen_text(app))
            await pilot.press("t")
            await steps_taken(pilot, 1)
            await pilot.pause()
            assert "No space." in screen_text(app)
            await pilot.press("q")
            await wait_until(pilot, lambda: "weights could not be saved" in screen_text(app))
            await pilot.press("escape")
            await wait_until(pilot, lambda: app.screen is app.main)
            await pilot.press("escape")
            await wait_until(pilot, lambda: "No space." not in screen_text(app))
            assert "Step 1 taught fc" in screen_text(app)

    async def test_quit_dialog_says_where_the_weights_are(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("r")
            await wait_until(pilot, lambda: "10 epochs are done" in screen_text(app))
            await pilot.press("q")
            await wait_until(
                pilot, lambda: "The weights are in runs/test/last.safetensors" in screen_text(app)
            )
            await pilot.press("escape", "t")
            await steps_taken(pilot, 81)
            await pilot.press("q")
            await wait_until(
                pilot, lambda: "When the engine ends, it saves the weights" in screen_text(app)
            )

    async def test_u_undoes_a_restored_layer(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            engine.emit(LayerRestored(owners=owners_named(STACK, "layer4.1")))
            await wait_until(pilot, lambda: app.run_state.undo_list)
            await pilot.press("u")
            await wait_until(
                pilot, lambda: "The restore of all 10 layers is undone" in screen_text(app)
            )
            await pilot.press("u")
            assert "nothing to undo" in screen_text(app)
        assert len(engine.sent(UndoRestoreLayer)) == 1


class TestLongCurves:
    """The work per frame does not grow with the length of a run."""

    def run_of(self, steps: int) -> RunState:
        state = RunState()
        state.apply(opened())
        state.apply(TrainBegan(start=0, step=0, to_step=steps))
        taken = step_taken(STACK, FC, rows=None)
        for step in range(1, steps + 1):
            loss = 0.2 + math.exp(-step / (steps / 5))
            state.apply(msgspec.structs.replace(taken, step=step, loss=loss, rows=(), owners=()))
            if step % (steps // 100) == 0:
                state.apply(validated(step, 40 + round(35 * step / steps)))
        return state

    @pytest.mark.parametrize("steps", [10_000, 100_000])
    async def test_long_curve_is_readable_and_costs_a_constant_time(self, steps):
        state = self.run_of(steps)
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            app.run_state.curves[:] = state.curves
            app.repaint()
            await pilot.pause()
            loss = app.main.loss
            assert all(len(d.buckets) <= 1025 for _, d in loss._decimations)
            series = loss._series(app.run_state)
            assert len(series[0].points) <= 1025
            values = [value for _, value in series[0].points]
            assert values == sorted(values, reverse=True)
            lines = [line for line in screen_lines(app) if "╰" not in line][-9:]
            assert any("75/80 .94" in line for line in lines)
            assert any("(.86 to .97)" in line for line in lines)
            assert "●" in "".join(lines[:7])
            counted = CountedList(app.run_state.curves[-1].loss)
            app.run_state.curves[-1].loss = counted
            app.main.show(app.run_state)
            assert counted.reads <= 10

    async def test_epochs_chance_and_majority_are_drawn(self):
        app = make_app(ScriptedEngine(opened(majority=50)))
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            await pilot.press("r")
            await wait_until(pilot, lambda: "10 epochs are done" in screen_text(app))
            text = screen_text(app)
            assert "majority .62" in text and "chance .50" in text and "72/80 .90" in text
            assert "(.81 to .95)" in text
            await pilot.press("0", "4", "r")
            await wait_until(pilot, lambda: app.run_state.curves[-1].full_validation)
            await wait_until(pilot, lambda: "┈ 1 head" in screen_text(app))

    async def test_label_of_a_start_from_scratch(self):
        state = self.run_of(200)
        state.curves[0].weights, state.curves[0].strategies = "random", ["full"]
        assert state.curves[0].label == "scratch 4 full"


class CountedList(list):
    """A list that counts how many of its entries are read."""

    reads = 0

    def __getitem__(self, index):
        value = super().__getitem__(index)
        self.reads += len(value) if isinstance(index, slice) else 1
        return value

    def __iter__(self):
        self.reads += len(self)
        return super().__iter__()


def validated(step: int, correct: int) -> Validated:
    return Validated(
        start=0, step=step, correct=correct, total=80, loss=0.4, yardstick=False, best=True
    )

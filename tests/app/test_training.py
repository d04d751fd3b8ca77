"""Training in the app, on a scripted engine: runs, rates, plans, step cost and checkpoints."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    step_cost_measured,
)
from tl_tui.estimates import cost_model
from tl_tui.protocol.checks import WeightDriftMeasured
from tl_tui.protocol.commands import (
    MeasureStepCost,
    Pause,
    SetRate,
    Step,
    Train,
)
from tl_tui.protocol.config import Recipe
from tl_tui.protocol.events import Refused
from tl_tui.protocol.session import NormModeChanged
from tui.state.rate_ladder import next_rate
from tui.text.format import format_bytes, format_ms, format_time_left, percent_change

STACK = resnet18_stack()
ROWS = [row.name for row in STACK.rows]
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


class TestRunning:
    @pytest.mark.parametrize("size", [(80, 24), (120, 40)])
    async def test_r_runs_with_progress_in_the_title_and_pauses(self, size):
        engine = ScriptedEngine(hold=True)
        app = make_app(engine)
        async with app.run_test(size=size) as pilot:
            await ready(pilot)
            await pilot.press("r")
            for _ in range(9):
                engine.release()
            await training(pilot, app, 9)
            await wait_until(pilot, lambda: "epoch 2 of 10 · 2 min left" in screen_lines(app)[0])
            assert "r pause" in screen_lines(app)[-1]
            await pilot.press("r")
            await wait_until(
                pilot, lambda: "Paused after step 9, epoch 2 of 10" in screen_text(app)
            )
            assert "left" not in screen_lines(app)[0] and "r run" in screen_lines(app)[-1]
        assert len(engine.sent(Train)) == len(engine.sent(Pause)) == 1
        assert engine.sent(Train)[0].steps is None

    async def test_end_of_training_shows_accuracy_chance_and_majority(self):
        engine = ScriptedEngine(opened(recipe=COSINE, majority=52))
        app = make_app(engine)
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            await pilot.press("r")
            await wait_until(pilot, lambda: "The 10 epochs are done" in screen_text(app))
            text = screen_text(app)
            assert "72 of 80, .90 (.81 to .95)" in text
            assert "chance .50, always hot dog .65" in text
            assert "r continues at the floor rate; c begins a new cycle" in text
            assert "10 epochs done" in screen_lines(app)[0]
            assert "saved best at 80, last at 80" in text
            assert app.run_state.training.factor(80) == pytest.approx(0.01)

    async def test_constant_schedule_mentions_no_floor(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            await pilot.press("r")
            await wait_until(pilot, lambda: "r continues." in screen_text(app))
            assert "floor" not in screen_text(app)

    @pytest.mark.parametrize(
        ("key", "hint"), [("t", ", then t"), ("0", ", then 0"), ("full_stop", ", then .")]
    )
    async def test_keys_that_need_a_paused_model_say_so(self, key, hint):
        engine = ScriptedEngine(hold=True)
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("r")
            engine.release()
            await training(pilot, app, 1)
            await pilot.press(key)
            assert hint in screen_text(app)
            engine.release()
            await training(pilot, app, 2)
        assert not engine.sent(Step)

    async def test_keys_respond_at_once_during_training(self):
        engine = ScriptedEngine(hold=True)
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("r")
            engine.release()
            await training(pilot, app, 1)
            await pilot.press("down", "space")
            assert "→ train" in row_line(app, "layer4.1")
            engine.release()
            await training(pilot, app, 2)
            assert frozenset(app.run_state.last.mask) > FC

    async def test_message_stays_during_the_following_steps(self):
        engine = ScriptedEngine(hold=True)
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("r", "b")
            for _ in range(11):
                engine.release()
            await training(pilot, app, 11)
            await pilot.pause()
            assert "fc has no BatchNorm" in screen_text(app)

    async def test_pause_is_sent_once(self):
        engine = ScriptedEngine(hold=True)
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("r")
            engine.send = engine.commands.append  # the engine is busy with a long step
            await pilot.press("r")
            assert "Pausing after this step" in screen_text(app)
            await pilot.press("r")
            assert "Already pausing" in screen_text(app)
        assert len(engine.sent(Pause)) == 1

    async def test_r_works_again_after_a_refusal(self):
        engine = ScriptedEngine(hold=True)
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            engine.send = lambda command: (
                engine.commands.append(command)
                or engine.emit(Refused(id=command.id, reason="Not now."))
            )
            await pilot.press("r")
            await wait_until(pilot, lambda: "Not now." in screen_text(app))
            assert not app.engine_session.running
            await pilot.press("r")
        assert len(engine.sent(Train)) == 2 and not engine.sent(Pause)

    def test_time_left_text(self):
        texts = [format_time_left(seconds) for seconds in (0.2, 42, 130, 3 * 3600 + 300, 40 * 3600)]
        assert texts == ["1 s left", "42 s left", "2 min left", "3 h 05 min left", "40 h left"]


class TestRates:
    async def test_brackets_change_and_mark_the_rate_of_a_row(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            await pilot.press("2", "down")
            assert row_line(app, "layer4.1").split("│")[1].rstrip().endswith(" 1e-3")
            await pilot.press("right_square_bracket")
            await wait_until(pilot, lambda: "•2e-3" in row_line(app, "layer4.1"))
            await pilot.press("left_square_bracket", "left_square_bracket")
            await wait_until(pilot, lambda: "•5e-4" in row_line(app, "layer4.1"))
            await wait_until(pilot, lambda: "lr 5e-4 by hand" in screen_text(app))
            await pilot.press("right_square_bracket")
            await wait_until(pilot, lambda: "•" not in row_line(app, "layer4.1"))
        sent = [(command.rows, command.rate) for command in engine.sent(SetRate)]
        row = ROWS.index("layer4.1")
        assert sent == [((row,), rate) for rate in (2e-3, 1e-3, 5e-4, 1e-3)]

    async def test_rate_shows_at_once_and_reverts_if_the_engine_refuses(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            engine.send = engine.commands.append  # the engine is busy with a long step
            await pilot.press("right_square_bracket", "right_square_bracket")
            assert "•5e-2" in row_line(app, "fc")
            first, second = engine.sent(SetRate)
            engine.emit(Refused(id=second.id, reason="Too fast."))
            await wait_until(pilot, lambda: "•2e-2" in row_line(app, "fc"))
            engine.emit(Refused(id=first.id, reason="Too fast."))
            await wait_until(pilot, lambda: " 1e-2" in row_line(app, "fc"))

    async def test_at_80_columns_rates_replace_the_roles(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            assert row_line(app, "fc").rstrip().endswith("classes")
            await pilot.press("L")
            assert row_line(app, "fc").rstrip().endswith(" 1e-2")
            await pilot.press("L")
            assert row_line(app, "fc").rstrip().endswith("classes")
            await pilot.press("right_square_bracket")
            assert row_line(app, "fc").rstrip().endswith("•2e-2")
            assert "fc learns at 2e-2." in screen_text(app)
            await wait_until(pilot, lambda: "lr 2e-2 by hand" in screen_text(app))

    async def test_rate_of_a_stage_changes_all_its_rows(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            await pilot.press("down", "right_square_bracket", "left", "right_square_bracket")
            assert "layer4 learns at 2e-3 to 5e-3, once it is thawed" in screen_text(app)
        sent = [
            (sorted(ROWS[row] for row in command.rows), command.rate)
            for command in engine.sent(SetRate)
        ]
        assert sent[1:] == [(["layer4.0"], 2e-3), (["layer4.1"], 5e-3)]

    async def test_hold_still_sets_rate_0_and_the_recipe_rate_can_be_restored(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            await app.run_action("hold_still")
            assert "fc is held still" in screen_text(app) and "•0" in row_line(app, "fc")
            await app.run_action("recipe_rate")
            await wait_until(pilot, lambda: " 1e-2" in row_line(app, "fc"))
        assert [command.rate for command in engine.sent(SetRate)] == [0.0, 1e-2]

    async def test_shown_rates_include_the_schedule(self):
        engine = ScriptedEngine(opened(recipe=COSINE), hold=True)
        app = make_app(engine)
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            await pilot.press("r")
            for _ in range(40):
                engine.release()
            await training(pilot, app, 40)
            half = (1 + 0.01) / 2
            assert app.run_state.training.factor(40) == pytest.approx(half)
            await wait_until(pilot, lambda: " 5e-3" in row_line(app, "fc"))
            await wait_until(pilot, lambda: "× .51 cosine" in screen_text(app))

    @given(st.floats(1e-8, 10), st.integers(1, 4))
    def test_step_down_reverts_step_up(self, rate, steps):
        up = next_rate(rate, steps, 1.0)
        down = next_rate(up, -steps, 1.0)
        assert rate <= up <= 10 and 1e-8 <= down <= rate * (1 + 1e-9) or up == 10
        digit = up / 10 ** math.floor(math.log10(up) + 1e-9)
        assert min(abs(digit - leading) for leading in (1, 2, 5)) < 1e-6
        assert next_rate(0.0, 1, 0.03) == 0.03 and next_rate(0.0, -1, 0.03) == 0.0


class TestStepCost:
    def predicted(self, mask):
        parents = [owner.parents for owner in STACK.owners]
        return cost_model.predict_step_cost(step_cost_measured(STACK), parents, mask)

    async def test_panel_shows_current_cost_new_cost_and_difference(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            assert len(engine.sent(MeasureStepCost)) == 1
            await pilot.press("down")
            await wait_until(pilot, lambda: "cost of thawing layer4.1" in screen_text(app))
            thawed = FC | set(owners_named(STACK, "layer4.1"))
            current, new = self.predicted(FC), self.predicted(thawed)
            text = screen_text(app)
            for cost in (current, new):
                assert format_ms(cost.step_ms) in text and format_bytes(cost.peak_bytes) in text
            assert percent_change(current.step_ms, new.step_ms) in text and "+4.72 M" in text
            await pilot.press("t")
            await steps_taken(pilot, 1)
            await wait_until(pilot, lambda: "step 1 took 9.8 ms" in screen_text(app))
            await pilot.press("space")
            await wait_until(pilot, lambda: "cost of the next step" in screen_text(app))
            text = screen_text(app)
            assert "u, costs nothing yet" in text and "freeze: -4.72 M" in text
            # The estimates follow the time that the step took.
            assert re.search(r"step +9\.8 ms", text)
            assert format_ms(9.8 * new.step_ms / current.step_ms) in text

    async def test_at_80_columns_the_inspector_shows_the_cost(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("down")
            thawed = self.predicted(FC | set(owners_named(STACK, "layer4.1")))
            frozen = self.predicted(FC)
            extra = f"+{format_ms(thawed.step_ms - frozen.step_ms)}"
            await wait_until(pilot, lambda: f"thaw: +4.72 M · {extra}" in screen_text(app))

    async def test_small_screen_shows_the_cost_in_the_footer(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(60, 14)) as pilot:
            await ready(pilot)
            await pilot.press("down")
            await wait_until(pilot, lambda: "space thaw +0.8 ms" in screen_lines(app)[-1])

    @pytest.mark.parametrize("size", [(80, 24), (120, 40)])
    async def test_only_parameters_are_shown_before_the_measurement(self, size):
        app = make_app(ScriptedEngine(step_costs=False))
        async with app.run_test(size=size) as pilot:
            await ready(pilot)
            await pilot.press("down")
            await wait_until(pilot, lambda: "measur" in screen_text(app))
            assert "4.72 M" in screen_text(app)

    def test_formats_of_times_sizes_and_changes(self):
        assert [format_ms(x) for x in (9.84, 388.2, 1240)] == ["9.8 ms", "388 ms", "1.24 s"]
        assert [format_bytes(x) for x in (940e3, 2.5e6, 29e6, 1.35e9)] == [
            "940 kB",
            "2.5 MB",
            "29 MB",
            "1.35 GB",
        ]
        assert [percent_change(100, x) for x in (111, 99.9, 50)] == ["+11 %", "0 %", "-50 %"]


class TestWeightDrift:
    @pytest.mark.parametrize("size", [(80, 24), (120, 40)])
    async def test_inspector_shows_weight_and_statistics_drift(self, size):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=size) as pilot:
            await ready(pilot)
            norm = owners_named(STACK, "layer4.1.bn1")[0]
            moved = tuple(0.0123 if name == "layer4.1" else 0.0 for name in ROWS)
            engine.emit(WeightDriftMeasured(step=0, rows=moved, running_mean_drift={norm: 0.31}))
            await pilot.press("down")
            await wait_until(pilot, lambda: "1.23 % from pretrained" in screen_text(app))
            assert "drifted" not in screen_text(app), "it moved while it was trainable"
            engine.emit(NormModeChanged(owners=(norm,), mode="train"))
            await wait_until(pilot, lambda: "drifted by 0.31 σ" in screen_text(app))
            await pilot.press("down")
            await wait_until(pilot, lambda: "0.00 % from pretrained" in screen_text(app))
            assert "drifted" not in screen_text(app)

    async def test_new_head_is_compared_with_its_start(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            engine.emit(
                WeightDriftMeasured(step=0, rows=(1e-5,) * len(ROWS), running_mean_drift={})
            )
            await wait_until(pilot, lambda: "<0.01 % from its start" in screen_text(app))

"""The screens of the range test and of cross-validation: live progress, stopping and applying."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.support.app_pilot import make_app, ready, screen_lines, screen_text, wait_until
from tests.support.result_messages import fold, folds_ended, range_tested
from tests.support.scripted_engine import ScriptedEngine
from tl_tui.protocol.commands import CrossValidate, Pause, SetRecipe
from tl_tui.protocol.commands import TestLrRange as RangeTest
from tl_tui.protocol.events import Heartbeat, Refused
from tui.drawing.lr_range_curve import lr_range_curve
from tui.text.format import format_short

SIZES = [(80, 24), (120, 40), (40, 12), (300, 80)]
LOSSES = st.floats(0, 3e38) | st.just(float("nan")) | st.just(float("inf"))
WHY = "The loss was lowest at 2.0e-01; a tenth of that still falls, with room to spare."


async def begin_range_test(pilot, engine):
    await ready(pilot)
    pilot.app.action_range_test()
    await wait_until(pilot, lambda: engine.sent(RangeTest))


async def begin_folds(pilot, engine, keys=("enter",)):
    await ready(pilot)
    pilot.app.action_folds()
    await wait_until(pilot, lambda: "How many splits?" in screen_text(pilot.app))
    await pilot.press(*keys)
    await wait_until(pilot, lambda: engine.sent(CrossValidate))


def text_of(lines) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


class TestRangeCurve:
    @given(
        st.lists(st.tuples(st.floats(1e-9, 1e4), LOSSES), max_size=90),
        st.none() | st.floats(1e-7, 100),
        st.integers(40, 200),
        st.integers(4, 60),
        st.booleans(),
    )
    def test_curve_fits_for_any_points(self, points, proposal, width, height, plain):
        lines = text_of(
            lr_range_curve(points, proposal, width, height, plain=plain, format_value=format_short)
        )
        assert len(lines) == height
        assert all(cell_len(line) <= width for line in lines)

    def test_points_keep_their_columns_while_the_curve_grows(self):
        points = range_tested().points
        before = text_of(
            lr_range_curve(points[:50], None, 80, 20, plain=False, format_value=format_short)
        )
        after = text_of(
            lr_range_curve(points[:55], None, 80, 20, plain=False, format_value=format_short)
        )
        assert before[-1] == after[-1]

        def drawn_columns(lines):
            return {x for line in lines[:-2] for x, cell in enumerate(line[:50]) if cell != " "}

        assert drawn_columns(before) == drawn_columns(
            after
        )  # the scale of the losses may have changed

    def test_proposal_is_marked_at_its_rate(self):
        lines = text_of(
            lr_range_curve(
                range_tested().points, 0.02, 79, 20, plain=True, format_value=format_short
            )
        )
        labels, mark = lines[-1], lines[0].index("│")
        assert abs(labels.index("0.02") + 2 - mark) <= 1
        assert labels.index("1e-3") < mark < labels.index("1e-1")


class TestRangeTestScreen:
    @pytest.mark.parametrize("size", SIZES)
    async def test_proposal_is_shown_and_enter_applies_it(self, size):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=size) as pilot:
            await begin_range_test(pilot, engine)
            engine.emit(range_tested(30))
            await wait_until(pilot, lambda: "30 steps." in screen_text(app))
            await pilot.press("enter")
            assert not engine.sent(SetRecipe) and app.screen is not app.main
            engine.emit(range_tested(done=True, proposal=0.02, reason=WHY))
            await wait_until(pilot, lambda: " 0.02 " in screen_text(app))
            assert all(cell_len(line) == size[0] for line in screen_lines(app))
            await pilot.press("enter")
            await wait_until(pilot, lambda: app.screen is app.main)
            (sent,) = engine.sent(SetRecipe)
            assert (sent.recipe.lr_head, sent.recipe.lr_pretrained) == (0.02, 0.002)

    async def test_sentence_names_the_old_and_new_rates(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await begin_range_test(pilot, engine)
            engine.emit(range_tested(done=True, proposal=0.02, reason=WHY))
            await wait_until(pilot, lambda: "Press Enter to apply it" in screen_text(app))
            text = screen_text(app)
            assert WHY in text and "0.02 for the head instead of 0.01, and 0.002 for" in text
            await pilot.press("escape")
            await wait_until(pilot, lambda: app.screen is app.main)
            assert not engine.sent(SetRecipe) and not engine.sent(Pause)

    async def test_no_proposal_if_the_loss_never_falls(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await begin_range_test(pilot, engine)
            engine.emit(range_tested(done=True, reason="The loss never fell at any rate."))
            await wait_until(pilot, lambda: "never fell" in screen_text(app))
            await pilot.press("enter")
            assert app.screen is not app.main and not engine.sent(SetRecipe)

    async def test_p_stops_and_r_starts_again(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await begin_range_test(pilot, engine)
            engine.emit(range_tested(12))
            engine.emit(Heartbeat(activity="range test", seconds=2.0))
            await wait_until(pilot, lambda: "range test, 2 s" in screen_lines(app)[-1])
            await pilot.press("p", "p")
            assert len(engine.sent(Pause)) == 1
            assert "Stopped after 12 steps" in screen_text(app)
            assert "r again" in screen_lines(app)[-1]
            await pilot.press("r")
            assert len(engine.sent(RangeTest)) == 2 and "0 steps." in screen_text(app)

    @pytest.mark.parametrize("key", ["escape", "q"])
    async def test_closing_the_screen_stops_the_test(self, key):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await begin_range_test(pilot, engine)
            await pilot.press(key)
            await wait_until(pilot, lambda: app.screen is app.main)
            assert len(engine.sent(Pause)) == 1

    async def test_refusal_is_shown(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await begin_range_test(pilot, engine)
            engine.emit(Refused(id=engine.sent(RangeTest)[0].id, reason="Thaw a layer first."))
            await wait_until(pilot, lambda: "Thaw a layer first." in screen_text(app))
            assert "not started" in screen_text(app)
            await pilot.press("escape")
            await wait_until(pilot, lambda: app.screen is app.main)
            assert not engine.sent(Pause)


class TestCrossValidationScreen:
    @pytest.mark.parametrize("size", SIZES)
    async def test_each_fold_and_the_totals_are_shown(self, size):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=size) as pilot:
            await begin_folds(pilot, engine, ("backspace", "3", "enter"))
            assert engine.sent(CrossValidate)[0].folds == 3
            engine.emit(fold(1, 3, 12))
            await wait_until(pilot, lambda: "12 of 16, .75 (.51 to .90)" in screen_text(app))
            assert "1 of 3 folds" in screen_lines(app)[0] or size[0] < 60
            engine.emit(fold(2, 3, 14))
            engine.emit(fold(3, 3, 16))
            engine.emit(folds_ended((12, 14, 16)))
            await wait_until(pilot, lambda: "Every image once: 42 of 48" in screen_text(app))
            assert all(cell_len(line) == size[0] for line in screen_lines(app))
            if size[1] > 12:
                text = screen_text(app)
                assert "Mean of the folds .88, from .75 to 1.00" in text
                assert "standard deviation 0.125" in text and "Balanced" in text

    async def test_number_of_splits_is_checked(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            app.action_folds()
            await wait_until(pilot, lambda: "How many splits?" in screen_text(app))
            for bad in ("1", "x", "101", "²"):
                await pilot.press(*["backspace"] * 4, bad, "enter")
                assert "whole number from 2 to 100" in screen_text(app)
            assert not engine.sent(CrossValidate)
            await pilot.press("escape")
            await wait_until(pilot, lambda: app.screen is app.main)
            assert not engine.sent(CrossValidate)

    async def test_p_stops_the_cross_validation(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await begin_folds(pilot, engine)
            engine.emit(fold(1))
            await wait_until(pilot, lambda: "13 of 16" in screen_text(app))
            await pilot.press("p")
            assert len(engine.sent(Pause)) == 1
            assert "Stopped after 1 of 5 folds." in screen_text(app)

    async def test_continues_after_the_screen_is_closed_and_can_be_reopened(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await begin_folds(pilot, engine)
            engine.emit(fold(1))
            await wait_until(pilot, lambda: "13 of 16" in screen_text(app))
            await pilot.press("escape")
            await wait_until(pilot, lambda: app.screen is app.main)
            for number in range(2, 6):
                engine.emit(fold(number))
            engine.emit(folds_ended([13] * 5))
            await wait_until(pilot, lambda: "Cross-validation: 65 of 80" in screen_text(app))
            assert not engine.sent(Pause)
            app.action_folds()
            await wait_until(pilot, lambda: "Every image once: 65 of 80" in screen_text(app))
            await pilot.press("r")
            await wait_until(pilot, lambda: "How many splits?" in screen_text(app))

    async def test_refusal_is_shown(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await begin_folds(pilot, engine)
            reason = "Training runs; pause it before you cross-validate."
            engine.emit(Refused(id=engine.sent(CrossValidate)[0].id, reason=reason))
            await wait_until(pilot, lambda: reason in screen_text(app))
            assert "The cross-validation was not started." in screen_text(app)

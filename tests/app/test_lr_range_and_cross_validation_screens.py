"""Range test and cross-validation: live while they go on, stopped on request, taken on Enter."""

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

SIZES = [(80, 24), (120, 40), (40, 12), (300, 80)]
LOSSES = st.floats(0, 3e38) | st.just(float("nan")) | st.just(float("inf"))
WHY = "The loss was lowest at 2.0e-01; a tenth of that still falls, with room to spare."


@pytest.fixture(autouse=True)
def own_directories(tmp_path, monkeypatch):
    for name in ("CONFIG", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))


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
    return ["".join(text for text, _ in one) for one in lines]


class TestRangeCurve:
    @given(
        st.lists(st.tuples(st.floats(1e-9, 1e4), LOSSES), max_size=90),
        st.none() | st.floats(1e-7, 100),
        st.integers(40, 200),
        st.integers(4, 60),
        st.booleans(),
    )
    def test_fits_whatever_comes(self, points, proposal, width, height, plain):
        lines = text_of(lr_range_curve(points, proposal, width, height, plain=plain))
        assert len(lines) == height
        assert all(cell_len(one) <= width for one in lines)

    def test_what_is_there_stays_where_it_is_while_the_curve_grows(self):
        whole = range_tested().points
        before = text_of(lr_range_curve(whole[:50], None, 80, 20, plain=False))
        after = text_of(lr_range_curve(whole[:55], None, 80, 20, plain=False))
        assert before[-1] == after[-1]

        def inked(lines):
            return {x for one in lines[:-2] for x, cell in enumerate(one[:50]) if cell != " "}

        assert inked(before) == inked(after)  # the scale of the losses may have changed

    def test_the_proposal_stands_at_its_rate(self):
        lines = text_of(lr_range_curve(range_tested().points, 0.02, 79, 20, plain=True))
        labels, mark = lines[-1], lines[0].index("│")
        assert abs(labels.index("0.02") + 2 - mark) <= 1
        assert labels.index("1e-3") < mark < labels.index("1e-1")


class TestRangeScreen:
    @pytest.mark.parametrize("size", SIZES)
    async def test_grows_proposes_and_is_taken(self, size):
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
            assert all(cell_len(one) == size[0] for one in screen_lines(app))
            await pilot.press("enter")
            await wait_until(pilot, lambda: app.screen is app.main)
            (sent,) = engine.sent(SetRecipe)
            assert (sent.recipe.lr_head, sent.recipe.lr_pretrained) == (0.02, 0.002)

    async def test_the_sentence_says_what_changes(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await begin_range_test(pilot, engine)
            engine.emit(range_tested(done=True, proposal=0.02, reason=WHY))
            await wait_until(pilot, lambda: "Enter takes it" in screen_text(app))
            text = screen_text(app)
            assert WHY in text and "0.02 for the head instead of 0.01, and 0.002 for" in text
            await pilot.press("escape")
            await wait_until(pilot, lambda: app.screen is app.main)
            assert not engine.sent(SetRecipe) and not engine.sent(Pause)

    async def test_a_curve_that_never_falls_proposes_nothing(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await begin_range_test(pilot, engine)
            engine.emit(range_tested(done=True, reason="The loss never fell at any rate."))
            await wait_until(pilot, lambda: "never fell" in screen_text(app))
            await pilot.press("enter")
            assert app.screen is not app.main and not engine.sent(SetRecipe)

    async def test_p_stops_and_r_begins_again(self):
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
    async def test_leaving_stops_it(self, key):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await begin_range_test(pilot, engine)
            await pilot.press(key)
            await wait_until(pilot, lambda: app.screen is app.main)
            assert len(engine.sent(Pause)) == 1

    async def test_a_refusal_says_why(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await begin_range_test(pilot, engine)
            engine.emit(Refused(id=engine.sent(RangeTest)[0].id, reason="Thaw a layer first."))
            await wait_until(pilot, lambda: "Thaw a layer first." in screen_text(app))
            assert "not begun" in screen_text(app)
            await pilot.press("escape")
            await wait_until(pilot, lambda: app.screen is app.main)
            assert not engine.sent(Pause)


class TestFolds:
    @pytest.mark.parametrize("size", SIZES)
    async def test_each_fold_as_it_comes_and_all_of_them(self, size):
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
            await wait_until(pilot, lambda: "All images once: 42 of 48" in screen_text(app))
            assert all(cell_len(one) == size[0] for one in screen_lines(app))
            if size[1] > 12:
                text = screen_text(app)
                assert "Mean of the folds .88, from .75 to 1.00" in text
                assert "standard deviation 0.125" in text and "Balanced" in text

    async def test_the_number_of_splits_is_looked_at(self):
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

    async def test_p_stops_it(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await begin_folds(pilot, engine)
            engine.emit(fold(1))
            await wait_until(pilot, lambda: "13 of 16" in screen_text(app))
            await pilot.press("p")
            assert len(engine.sent(Pause)) == 1
            assert "Stopped after 1 of 5 folds." in screen_text(app)

    async def test_it_goes_on_when_the_screen_is_left_and_can_be_seen_again(self):
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
            await wait_until(pilot, lambda: "All images once: 65 of 80" in screen_text(app))
            await pilot.press("r")
            await wait_until(pilot, lambda: "How many splits?" in screen_text(app))

    async def test_a_refusal_says_why(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await begin_folds(pilot, engine)
            reason = "Training runs; pause it before you cross-validate."
            engine.emit(Refused(id=engine.sent(CrossValidate)[0].id, reason=reason))
            await wait_until(pilot, lambda: reason in screen_text(app))
            assert "It was not begun." in screen_text(app)

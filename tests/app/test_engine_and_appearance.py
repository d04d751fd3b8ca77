"""The app while the engine starts, stops and restarts, and how it looks in every terminal."""

from __future__ import annotations

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
from tests.support.stack_messages import bottleneck_stack, opened, owners_named, resnet18_stack
from tl_tui.protocol.commands import (
    Open,
    SetMask,
)
from tl_tui.protocol.session import OpenFailed

STACK = resnet18_stack()


FC = frozenset(owners_named(STACK, "fc"))


LAYER4_1 = frozenset(owners_named(STACK, "layer4.1"))


def last_mask(engine: ScriptedEngine) -> frozenset[int]:
    return frozenset(engine.sent(SetMask)[-1].trainable)


class TestEngine:
    async def test_checklist_shows_the_progress_of_opening(self):
        engine = ScriptedEngine(opens=False)
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await wait_until(pilot, lambda: "✓ terminal" in screen_text(app))
            assert "✓ torch" not in screen_text(app)
            engine.progress("torch", "data")
            await wait_until(pilot, lambda: "✓ data" in screen_text(app))
            assert "· weights" in screen_text(app)

    async def test_cached_stack_can_be_edited_before_the_engine_is_ready(self):
        first = make_app(ScriptedEngine())
        async with first.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
        engine = ScriptedEngine(opens=False)
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await wait_until(pilot, lambda: "layer4.1" in screen_text(app))
            await pilot.press("down", "space")
            assert app.run_state.wanted == FC | LAYER4_1 and not engine.sent(SetMask)
            engine.open_now()
            await ready(pilot)
            assert app.run_state.wanted == FC | LAYER4_1 == last_mask(engine)

    async def test_cached_stack_is_replaced_if_the_model_differs(self):
        first = make_app(ScriptedEngine(opened(bottleneck_stack())))
        async with first.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
        engine = ScriptedEngine(opens=False)
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await wait_until(pilot, lambda: "layer4.2" in screen_text(app))
            await pilot.press("G", "k", "space")
            engine.open_now()
            await ready(pilot)
            assert app.run_state.wanted == FC
            assert "layer4.2" not in screen_text(app)

    async def test_dead_engine_is_reported_and_can_be_restarted(self):
        engine = ScriptedEngine(hold=True)
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("t")
            engine.release()
            await steps_taken(pilot, 1)
            await pilot.press("down", "space", "t")  # in mid-step
            engine.die()
            await wait_until(pilot, lambda: engine.reason in screen_text(app))
            assert "loss 0." in screen_text(app) and "R restart" in screen_lines(app)[-1]
            await pilot.press("t", "0")
            assert "press R to restart it" in screen_text(app)
            await pilot.press("R")
            await ready(pilot)
            assert engine.starts == 2 and len(engine.sent(Open)) == 2
            assert last_mask(engine) == FC | LAYER4_1
            await pilot.press("t")
            engine.release()
            await steps_taken(pilot, 1)

    async def test_missing_weights_open_a_dialog_with_other_weights(self):
        failed = OpenFailed(sentence="The weights are not at hand.", choices=("none",))
        engine = ScriptedEngine(failures=[failed])
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await wait_until(pilot, lambda: "not at hand" in screen_text(app))
            await pilot.press("1")
            await ready(pilot)
        assert [command.config.weights for command in engine.sent(Open)] == ["auto", "none"]

    async def test_session_that_cannot_be_opened_shows_why_and_exits_with_code_2(self):
        engine = ScriptedEngine(failures=[OpenFailed(sentence="There is no such folder.")])
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await wait_until(pilot, lambda: "no such folder" in screen_text(app))
            await pilot.press("q")
        assert app.return_code == 2

    async def test_many_events_are_painted_at_most_once_per_frame(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        painted = 0
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            show = app.main.show

            def counted(state):
                nonlocal painted
                painted += 1
                show(state)

            app.main.show = counted
            engine._in_flight = 300
            for _ in range(300):
                engine.release()
            await wait_until(pilot, lambda: app.run_state.step == 300)
            await wait_until(pilot, lambda: "step 300" in screen_text(app))
        assert 1 <= painted < 300, "of 600 events"

    async def test_notes_of_the_session_are_shown_and_stay_in_the_message_list(self):
        app = make_app(ScriptedEngine(opened(notes=("Statistics were estimated.",))))
        async with app.run_test(size=(80, 24)) as pilot:
            await wait_until(pilot, lambda: "Statistics were estimated." in screen_text(app))
            await pilot.press("colon")
            await pilot.press(*"messages")
            await pilot.pause(0.2)
            await pilot.press("enter")
            await wait_until(pilot, lambda: "messages" in screen_lines(app)[10])
            assert "Statistics were estimated." in screen_text(app)

    async def test_weights_and_device_warning_stay_visible(self):
        session = opened(
            weights="random",
            pretrained=False,
            weights_reason="no pretrained weights: f.pth is not in /c (no internet)",
            weights_cause="no internet",
            device_warning="The driver is too old.",
        )
        app = make_app(ScriptedEngine(session))
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("t")
            await steps_taken(pilot, 1)
            lines = screen_lines(app)
        assert "random weights (no internet)" in lines[0]
        assert "The driver is too old." in lines[1]


class TestLeaving:
    async def test_q_leaves_at_once_if_nothing_would_be_lost(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("q")
        assert app.return_code == 0 and engine.closed

    @pytest.mark.parametrize("keys", [("q", "q"), ("q", "enter"), ("ctrl+c", "ctrl+c")])
    async def test_q_asks_after_a_step_was_taken(self, keys):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("t")
            await steps_taken(pilot, 1)
            await pilot.press(keys[0])
            await wait_until(pilot, lambda: "1 step was taken" in screen_text(app))
            await pilot.press("escape")
            await wait_until(pilot, lambda: app.screen is app.main)
            await pilot.press(keys[0])
            await wait_until(pilot, lambda: "1 step was taken" in screen_text(app))
            assert app.is_running and not app._exit
            await pilot.press(keys[1])
        assert app.return_code == 0


class TestAppearance:
    async def test_theme_chosen_in_the_palette_is_remembered(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("ctrl+p", *"theme: light")
            await pilot.pause(0.2)
            await pilot.press("enter")
            await wait_until(pilot, lambda: app.theme == "light")
        again = make_app(ScriptedEngine())
        async with again.run_test(size=(80, 24)) as pilot:
            assert again.theme == "light"

    async def test_every_palette_draws(self):
        for name in ("terminal", "light", "high-contrast", "red-green-safe"):
            app = make_app(ScriptedEngine(), theme=name)
            async with app.run_test(size=(120, 40)) as pilot:
                await ready(pilot)
                colours = {
                    segment.style.color
                    for strip in app.screen._compositor.render_strips(app.size)
                    for segment in strip
                    if segment.style and segment.style.color
                }
                assert len(colours) >= 2

    async def test_monochrome_sends_no_colours(self):
        app = make_app(ScriptedEngine(), monochrome=True)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("2", "t")
            await steps_taken(pilot, 1)
            styles = [
                segment.style
                for strip in app.screen._compositor.render_strips(app.size)
                for segment in strip
                if segment.style
            ]
        assert all(style.color is None and style.bgcolor is None for style in styles)
        assert any(style.bold for style in styles) and any(style.dim for style in styles)

    async def test_the_default_theme_paints_no_background(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            styles = [
                segment.style
                for strip in app.screen._compositor.render_strips(app.size)
                for segment in strip
                if segment.style
            ]
        assert all(style.bgcolor is None for style in styles)
        numbers = {style.color.number for style in styles if style.color}
        assert numbers <= {*range(16), None}

    async def test_ascii_terminal_gets_only_ascii(self):
        app = make_app(ScriptedEngine(), unicode=False)
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            await pilot.press("t")
            await steps_taken(pilot, 1)
            text = "".join(screen_lines(app))
            await pilot.press("question_mark")
            await pilot.pause()
            text += "".join(screen_lines(app))
        assert text.isascii()

    async def test_help_scrolls_to_the_lesson(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("question_mark")
            await wait_until(pilot, lambda: "freeze or train the row" in screen_text(app))
            await pilot.press("end")
            await wait_until(pilot, lambda: "exploring costs nothing" in screen_text(app))
            await pilot.press("q")
            await wait_until(pilot, lambda: app.screen is app.main)

    async def test_small_terminal_shows_one_sentence_until_it_grows(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(30, 8)) as pilot:
            await ready(pilot)
            assert "needs 40 × 10" in screen_text(app) and "layer4" not in screen_text(app)
            for width, height in ((80, 24), (120, 40), (44, 10), (300, 80), (80, 24)):
                await pilot.resize_terminal(width, height)
                await wait_until(pilot, lambda: "layer4.1" in screen_text(app))
                assert len(screen_lines(app)) == app.size.height

    async def test_resize_during_a_replay(self):
        app = make_app(ScriptedEngine())
        app.animation_level = "full"
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("4", "t")
            await wait_until(pilot, lambda: app.main.stack.replaying)
            await pilot.resize_terminal(120, 40)
            await wait_until(pilot, lambda: "slower than it ran" in screen_text(app))
            await wait_until(pilot, lambda: "step 1" in screen_text(app))

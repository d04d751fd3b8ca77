"""Terminals with 80 columns or with ASCII only: nothing that matters is cut, and every cell is
ASCII."""

from __future__ import annotations

import msgspec
import pytest
from rich.cells import cell_len
from textual.widgets import Input

from tests.app.test_runs_screen import make_run
from tests.support.app_pilot import make_app, ready, screen_lines, screen_text, wait_until
from tests.support.result_messages import fold, range_tested, results
from tests.support.scripted_engine import ScriptedEngine
from tests.support.stack_messages import opened
from tl_tui.protocol.commands import CrossValidate, ShowResults
from tl_tui.protocol.commands import TestLrRange as RangeTest
from tl_tui.protocol.session import OpenFailed
from tl_tui.protocol.training import ImageSkipped
from tui.screens.choice_dialog import Choice, ChoiceDialog

CLASSES = ("Käse – 日本", "naïve → \U0001f600")
PATH = "/scratch/projects/2026/" + "kitchen-photographs/" * 6 + "Käse/IMG_0042.jpg"


def assert_ascii(app, width: int) -> None:
    lines = screen_lines(app)
    others = {c for line in lines for c in line if not c.isascii()}
    assert not others, f"{others} in:\n" + "\n".join(lines)
    assert all(cell_len(line) == width for line in lines)


# --- ASCII --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), pytest.param((120, 40), marks=pytest.mark.thorough)])
async def test_every_screen_is_drawn_in_ascii(size):
    make_run("20260101-081512-übung", 12)
    session = msgspec.structs.replace(opened(classes=CLASSES), data="Küche")
    engine = ScriptedEngine(session)
    app = make_app(engine, unicode=False)
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        await pilot.press("t")
        await wait_until(pilot, lambda: app.run_state.step == 1)
        assert_ascii(app, size[0])
        for open_screen, told in (
            ("colon", "Search for commands"),
            ("question_mark", "Keys"),
            ("s", "Strategies and plans"),
            ("o", "augmentation"),
            ("w", "1 run"),
            ("v", "images"),
            ("M", "messages"),
            ("q", "Leave?"),
            ("slash", "find"),
            (app.action_dataset, "Validation images"),
            (app.action_new_start, "A new start?"),
            (app.action_restore_layer, "first weights?"),
            (app.action_save_choices, "Which file?"),
        ):
            if isinstance(open_screen, str):
                await pilot.press(open_screen)
            else:
                open_screen()
            await wait_until(pilot, lambda: told in screen_text(app))  # noqa: B023
            if isinstance(app.focused, Input):
                await pilot.press("ä", "日")
            await pilot.pause()
            assert_ascii(app, size[0])
            while app.screen is not app.main:
                await pilot.press("escape")
                await pilot.pause()
        await pilot.press("e")
        await wait_until(pilot, lambda: engine.sent(ShowResults))
        engine.emit(results(((38, 2), (7, 33))))
        await wait_until(pilot, lambda: "71 of 80" in screen_text(app))
        for _ in range(5):
            assert_ascii(app, size[0])
            await pilot.press("tab")
            await pilot.pause()
        await pilot.press("escape")
        app.action_range_test()
        await wait_until(pilot, lambda: engine.sent(RangeTest))
        engine.emit(range_tested())
        await pilot.pause()
        assert_ascii(app, size[0])
        await pilot.press("escape")
        app.action_folds()
        await wait_until(pilot, lambda: "How many splits?" in screen_text(app))
        await pilot.press("enter")
        await wait_until(pilot, lambda: engine.sent(CrossValidate))
        engine.emit(fold(1))
        await pilot.pause()
        assert_ascii(app, size[0])
        await pilot.press("escape")
        app.notify("A toast – with a border …", title="→ Küche")
        app.messages.show_now(f"Skipped {PATH}: it is damaged – or → no image.")
        await pilot.pause()
        assert_ascii(app, size[0])


async def test_a_dead_engine_is_reported_in_ascii():
    engine = ScriptedEngine()
    app = make_app(engine, unicode=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        engine.reason = f"The engine was killed – its log: {PATH}"
        engine.die()
        await wait_until(pilot, lambda: "R starts the engine again" in screen_text(app))
        assert_ascii(app, 80)
        await pilot.press("M")
        await wait_until(pilot, lambda: "IMG_0042.jpg" in "".join(screen_text(app).split()))
        assert_ascii(app, 80)


async def test_weights_that_cannot_be_loaded_are_reported_in_ascii():
    failed = OpenFailed(sentence=f"{PATH} – is no image.", choices=("none", "demo"))
    app = make_app(ScriptedEngine(failures=[failed]), unicode=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: "Which weights?" in screen_text(app))
        assert_ascii(app, 80)


# --- long texts ---------------------------------------------------------------------------------


class TestDialogs:
    SENTENCES = (
        f"The weights {PATH} cannot be read, and neither can {PATH.upper()}; give another file.",
        " ".join(f"word{number}" for number in range(400)),
        "日本語の文" * 200,
    )

    @pytest.mark.parametrize("sentence", SENTENCES, ids=["paths", "words", "wide"])
    async def test_a_long_explanation_scrolls_above_its_answers(self, sentence: str):
        app = make_app(ScriptedEngine())
        answers = [Choice((key,), f"the answer {key} {PATH}", key) for key in "123"]
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            app.push_screen(ChoiceDialog("A question", sentence, answers, app.appearance))
            await wait_until(pilot, lambda: "the answer 3" in screen_text(app))
            shown = ""
            for _ in range(12):
                lines = [line.strip("│ ") for line in screen_lines(app)]
                shown += "".join("".join(lines).split())
                await pilot.press("pagedown")
                await pilot.pause()
            assert "A question" in screen_text(app) and "the answer 1" in screen_text(app)
            for word in sentence.split()[-1:] if " " in sentence else [sentence[-20:]]:
                assert word.rstrip(".;") in shown or word[-12:].rstrip(".;") in shown
            assert shown.count("IMG_0042.jpg") >= 3, "each answer is shown to its end"

    async def test_a_click_on_the_second_line_of_an_answer_chooses_it(self):
        app, chosen = make_app(ScriptedEngine()), []
        answers = [Choice((key,), f"answer {key} {PATH}", key) for key in "12"]
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            app.push_screen(ChoiceDialog("Which?", "", answers, app.appearance), chosen.append)
            await wait_until(pilot, lambda: "answer 2" in screen_text(app))
            first = next(n for n, line in enumerate(screen_lines(app)) if "answer 2" in line)
            await pilot.click(offset=(20, first + 1))
            await wait_until(pilot, lambda: chosen == ["2"])

    async def test_an_answer_below_the_window_is_shown_when_the_cursor_reaches_it(self):
        app = make_app(ScriptedEngine())
        answers = [Choice((key,), f"answer {key}", key) for key in "abcdefghilmnopqrstuvwxyz"]
        async with app.run_test(size=(80, 14)) as pilot:
            await ready(pilot)
            app.push_screen(ChoiceDialog("Which?", "Choose.", answers, app.appearance))
            await wait_until(pilot, lambda: "answer a" in screen_text(app))
            assert "answer z" not in screen_text(app)
            await pilot.press("up")
            await wait_until(pilot, lambda: "answer z" in screen_text(app))


class TestMessages:
    SENTENCES = (
        f"Skipped {PATH}: it is damaged.",
        "The checkpoint could not be saved: " + "no space is left on the device; " * 9,
        "画像が壊れています。" * 30,
    )

    @pytest.mark.parametrize("sentence", SENTENCES, ids=["path", "long", "wide"])
    async def test_a_message_that_is_cut_can_be_read_whole(self, sentence: str):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            app.messages.show_now("An earlier message.")
            app.messages.show_now(sentence)
            await wait_until(pilot, lambda: "(M: all of it)" in screen_text(app))
            await pilot.press("M")
            await wait_until(pilot, lambda: "newest first" in screen_text(app))
            lines = [line.strip("│ ") for line in screen_lines(app)]
            assert "".join(sentence.split()) in "".join("".join(lines).split())
            assert "An earlier message." in screen_text(app)

    async def test_a_message_over_a_full_screen_can_be_read_whole(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("w")
            await wait_until(pilot, lambda: "no runs yet" in screen_text(app))
            app.messages.show_now(self.SENTENCES[1])
            await wait_until(pilot, lambda: "(M: all of it)" in screen_text(app))
            await pilot.press("M")
            await wait_until(pilot, lambda: "newest first" in screen_text(app))
            await pilot.press("escape")
            await wait_until(pilot, lambda: "no runs yet" in screen_text(app))


@pytest.mark.parametrize(
    "name",
    [
        "20261125-081512-resnet18-abcd",
        "20261125-081512-efficientnet_v2_s-wxyz",
        "kitchen-" + "photographs-" * 5 + "end",
    ],
)
async def test_the_name_of_a_run_is_shown_whole_at_80_columns(name: str):
    make_run(name, 12)
    app = make_app(ScriptedEngine())
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("w")
        await wait_until(pilot, lambda: "1 run" in screen_lines(app)[0])
        text = "".join("".join(line.strip() for line in screen_lines(app)).split())
        assert name in text and ".75" in text


async def test_skipped_images_are_named_whole():
    engine = ScriptedEngine()
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        engine.emit(
            ImageSkipped(path=PATH, reason="it is damaged", total=1, lost_class=f"{PATH} was last.")
        )
        await wait_until(pilot, lambda: "(M: all of it)" in screen_text(app))
        await pilot.press("M")
        await wait_until(pilot, lambda: "was last." in screen_text(app))

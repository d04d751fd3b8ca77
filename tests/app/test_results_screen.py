"""The results screen, at every size and for any number of classes."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len
from textual import events

from tests.support.app_pilot import (
    make_app,
    open_results,
    ready,
    screen_lines,
    screen_text,
    steps_taken,
    wait_until,
)
from tests.support.result_messages import measures, results
from tests.support.scripted_engine import ScriptedEngine
from tests.support.stack_messages import opened
from tl_tui.protocol.commands import Evaluate, ShowImages, ShowResults
from tl_tui.protocol.events import Heartbeat, Refused
from tl_tui.protocol.results import Comparison
from tl_tui.protocol.training import Validated

SIZES = [(80, 24), (120, 40), (40, 12), (300, 80)]
UNUSUAL_NAMES = ("犬", "[red]markup[/]", "\x1b[31mred\x07", "a\u202eb\nc", "n" * 90, "naïve")


class TestHeadline:
    @pytest.mark.parametrize("size", SIZES)
    async def test_accuracy_has_its_count_and_interval(self, size):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=size) as pilot:
            await open_results(pilot, engine, results(((38, 2), (7, 33))))
            lines = screen_lines(app)
            assert any("71 of 80, .89 (.80 to .94)" in line for line in lines)
            assert all(cell_len(line) == size[0] for line in lines)
            assert any("━" in line and "●" in line and "c" in line for line in lines)

    async def test_balanced_accuracy_chance_and_majority_are_shown(self):
        engine = ScriptedEngine(opened(majority_class=1))
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_results(pilot, engine, results(((8, 2), (6, 54))))
            text = screen_text(app)
        assert "balanced .85" in text and "chance .50" in text
        assert "majority .86 (60 of 70), always predicting not hot dog" in text

    async def test_age_is_shown_after_further_steps(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("t")
            await steps_taken(pilot, 1)
            await pilot.press("e")
            engine.emit(results(step=1))
            await wait_until(pilot, lambda: "70 of 80" in screen_text(app))
            assert "ago" not in screen_text(app)
            app.engine_session.step()
            await wait_until(pilot, lambda: "1 step ago" in screen_text(app))
            await pilot.press("escape")
            await wait_until(pilot, lambda: "step 2 " in screen_text(app))

    async def test_results_from_another_start_are_marked(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_results(pilot, engine, results(start=3))
            assert "from another start" in screen_text(app)


class TestRequests:
    async def test_opening_requests_the_results_once(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("e")
            await wait_until(pilot, lambda: "Evaluating all validation images" in screen_text(app))
            assert len(engine.sent(ShowResults)) == 1 and not engine.sent(Evaluate)
            engine.emit(Heartbeat(activity="evaluating", seconds=3.2))
            await wait_until(pilot, lambda: "evaluating, 3 s" in screen_lines(app)[-1])
            assert "Esc back" in screen_lines(app)[-1]

    @pytest.mark.parametrize("key", ["E", "enter"])
    async def test_key_evaluates_now(self, key):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_results(pilot, engine, results())
            await pilot.press(key)
            assert len(engine.sent(Evaluate)) == 1
            engine.emit(results(((40, 0), (0, 40)), step=4))
            await wait_until(pilot, lambda: "80 of 80" in screen_text(app))

    async def test_validation_after_an_epoch_updates_the_screen(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_results(pilot, engine, results())
            validated = Validated(start=0, step=8, correct=60, total=80, loss=0.5, yardstick=False)
            engine.emit(validated)
            await wait_until(pilot, lambda: len(engine.sent(ShowResults)) == 2)
            engine.emit(validated)
            await pilot.pause(0.05)
            assert len(engine.sent(ShowResults)) == 2  # the first is still being answered

    async def test_refusal_is_shown_on_this_screen(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("e")
            engine.emit(Refused(id=engine.sent(ShowResults)[-1].id, reason="No image can be read."))
            await wait_until(pilot, lambda: "No image can be read." in screen_lines(app)[-2])

    async def test_last_results_stay_readable_without_an_engine(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_results(pilot, engine, results())
            await pilot.press("escape")
            engine.die()
            await wait_until(pilot, lambda: app.run_state.phase == "dead")
            await pilot.press("e")
            assert "70 of 80" in screen_text(app)
            await pilot.press("E")
            await wait_until(pilot, lambda: "The engine has stopped" in screen_text(app))
            assert not engine.sent(Evaluate)

    async def test_keys_typed_after_escape_are_ignored(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_results(pilot, engine, results())
            screen = app.screen
            for key in ("escape", "E", "v", "escape", "q"):
                screen.post_message(events.Key(key, key if len(key) == 1 else None))
            await wait_until(pilot, lambda: app.screen is app.main)
            assert not engine.sent(Evaluate) and not engine.sent(ShowImages)


class TestComparisons:
    async def test_comparisons_are_sentences_with_counts(self):
        earlier = (
            Comparison(
                other="start 0, step 20",
                other_correct=68,
                other_total=80,
                only_this=5,
                only_other=3,
                p=1,
            ),
            Comparison(
                other="start 1, step 9",
                other_correct=58,
                other_total=80,
                only_this=14,
                only_other=2,
                p=0,
            ),
        )
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_results(pilot, engine, results(comparisons=earlier))
            text = screen_text(app)
        assert "start 0, step 20 68 of 80, .85" in text
        assert "no difference seen (5 against 3, p 0.73)" in text
        assert "better (14 against 2, p 0.0042)" in text


class TestConfusion:
    async def test_small_matrix_has_class_names_as_headings(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_results(pilot, engine, results(((36, 4), (6, 34))))
            await pilot.press("tab")
            lines = [" ".join(line.split()) for line in screen_lines(app)]
        assert "label hot dog not hot dog" in lines
        assert "1 hot dog 36 4 .90" in lines and "2 not hot dog 6 34 .85" in lines
        assert "6 of 40 .15 not hot dog classified as hot dog" in lines

    async def test_columns_of_twelve_classes_are_numbered(self):
        matrix = [
            [50 if row == column else row * (column == 0) for column in range(12)]
            for row in range(12)
        ]
        engine = ScriptedEngine(opened(classes=tuple(f"species {n}" for n in range(12))))
        app = make_app(engine)
        async with app.run_test(size=(120, 40)) as pilot:
            await open_results(pilot, engine, results(matrix))
            await pilot.press("tab")
            lines = [" ".join(line.split()) for line in screen_lines(app)]
        assert "label 1 2 3 4 5 6 7 8 9 10 11 12" in lines
        assert "12 species 11 11 · · · · · · · · · · 50 .82" in lines
        assert any(
            line.startswith("11 of 61 .18 species 11 classified as species 0") for line in lines
        )

    @pytest.mark.parametrize("size", SIZES)
    async def test_ten_thousand_classes_are_shown_as_a_list_of_pairs(self, size):
        classes = 10_000
        numbers = random.Random(0)
        shown = results(
            (),
            correct=40_000,
            total=50_000,
            per_class=tuple((4, 5) for _ in range(classes)),
            confusion=tuple(
                sorted(
                    {(i, i, 4) for i in range(classes)}
                    | {(i, (i + numbers.randint(1, 9)) % classes, 1) for i in range(classes)}
                )
            ),
        )
        engine = ScriptedEngine(opened(classes=tuple(f"class {n}" for n in range(classes))))
        app = make_app(engine)
        async with app.run_test(size=size) as pilot:
            await open_results(pilot, engine, shown)
            await pilot.press("tab")
            text = screen_text(app)
            assert "10,000 classes: too many for a matrix" in text and "class 0 " in text
            await pilot.press("end")
            assert "class 9999 " in screen_text(app)
            await pilot.press("tab", "end")
            assert "class 9999 " in screen_text(app)

    async def test_message_if_no_image_is_wrong(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_results(pilot, engine, results(((40, 0), (0, 40))))
            await pilot.press("tab")
            assert "Every image is classified correctly." in screen_text(app)


class TestClasses:
    async def test_classes_by_accuracy_and_in_order(self):
        names = ("ant", "bee", "cow", "none")
        engine = ScriptedEngine(opened(classes=names))
        app = make_app(engine)
        matrix = ((9, 1, 0, 0), (5, 5, 0, 0), (0, 3, 7, 0), (0, 0, 0, 0))
        async with app.run_test(size=(80, 24)) as pilot:
            await open_results(pilot, engine, results(matrix))
            await pilot.press("tab", "tab")

            def order():
                found = [line.split()[0] for line in screen_lines(app) if line.split()]
                return [digit for digit in found if digit in names]

            assert order() == ["bee", "cow", "ant", "none"]
            assert "bee 5 of 10, .50 (.24 to .76)" in screen_text(app)
            assert "none no validation images" in screen_text(app)
            await pilot.press("s")
            assert order() == list(names)
            engine.emit(results(matrix, step=1))
            await pilot.pause(0.1)
            assert order() == list(names)  # newer results keep the order that was chosen


class TestMostWrong:
    async def test_paths_labels_and_probabilities(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        path = "/a/very/long/folder/" + "x" * 80 + "/IMG_0042.jpg"
        async with app.run_test(size=(80, 24)) as pilot:
            await open_results(pilot, engine, results(paths=(path, "val/b.png")))
            await pilot.press("left", "left")
            row = next(line for line in screen_lines(app) if "IMG_0042" in line)
            assert row.split()[0] == ".99" and "…" in row and row.rstrip().endswith(".jpg")
            assert "not hot dog" in row  # the predicted class
            await pilot.press("v")
            await wait_until(pilot, lambda: "[most wrong]" in screen_text(app))
            assert engine.sent(ShowImages)[-1].selection == "wrong"
            await pilot.press("escape")
            await wait_until(pilot, lambda: "IMG_0042" in screen_text(app))


class TestCurves:
    async def test_curves_grow_while_the_screen_is_open(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("t")
            await steps_taken(pilot, 1)
            await pilot.press("e")
            engine.emit(results(step=1))
            await wait_until(pilot, lambda: "70 of 80" in screen_text(app))
            await pilot.press("left")
            assert "steps 1 to 1" in screen_text(app)
            for step in (2, 3, 4):
                app.engine_session.step()
                await wait_until(pilot, lambda: app.run_state.step == step)  # noqa: B023
            await wait_until(pilot, lambda: "steps 1 to 4" in screen_text(app))
            engine.emit(
                Validated(start=0, step=4, correct=60, total=80, loss=0.52, yardstick=False)
            )
            await wait_until(pilot, lambda: "validation .52" in screen_text(app))
            assert "now .75" in screen_text(app) and "chance .50" in screen_text(app)


class TestNames:
    @pytest.mark.parametrize("unicode", [True, False])
    @pytest.mark.parametrize("size", SIZES)
    async def test_unusual_names_are_shown_safely_in_every_section(self, size, unicode):
        matrix = [[5 if i == j else int(j == (i + 1) % 6) for j in range(6)] for i in range(6)]
        engine = ScriptedEngine(opened(classes=UNUSUAL_NAMES))
        app = make_app(engine, unicode=unicode)
        text = ""
        async with app.run_test(size=size) as pilot:
            await open_results(
                pilot,
                engine,
                results(
                    matrix, paths=("\x1b]0;x\x07/[bold]é.jpg",), measures=measures(((5, 6),) * 6)
                ),
            )
            for _ in range(6):
                await pilot.press("tab")
                lines = screen_lines(app)
                assert all(cell_len(line) == size[0] for line in lines)
                text += "\n".join(lines)
        assert not any(ord(letter) < 32 for letter in text.replace("\n", ""))
        assert "\u202e" not in text
        if size[0] >= 80:
            assert "[red]markup[/]" in text and "\\x1b[31mred\\x07" in text
        if not unicode:
            assert text.isascii()

    async def test_monochrome_uses_bold_and_dim_instead_of_colours(self):
        engine = ScriptedEngine()
        app = make_app(engine, monochrome=True)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_results(pilot, engine, results())
            styles = [
                segment.style
                for strip in app.screen._compositor.render_strips(app.size)
                for segment in strip
                if segment.style
            ]
        assert all(style.color is None and style.bgcolor is None for style in styles)
        assert any(style.bold for style in styles) and any(style.dim for style in styles)

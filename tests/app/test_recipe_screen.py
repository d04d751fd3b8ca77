"""The recipe screen: editing by key, invalid numbers, and the drawing of the schedule."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.support.app_pilot import make_app, ready, screen_lines, screen_text, wait_until
from tests.support.scripted_engine import ScriptedEngine
from tests.support.stack_messages import opened
from tl_tui.protocol.commands import SetRecipe
from tl_tui.protocol.config import Recipe
from tl_tui.protocol.session import RecipeChanged
from tl_tui.settings.recipe import check_recipe
from tui.drawing.schedule_curve import schedule_curve
from tui.text.recipe_fields import FIELDS, Field, parse_value, shown, step_value

SIZES = [(80, 24), (120, 40), (40, 12), (300, 80)]
RECIPE = Recipe(lr_head=1e-2, lr_pretrained=1e-3, weight_decay=1e-4)
ROWS = {field.name: number for number, field in enumerate(FIELDS)}


def down_to(name: str) -> list[str]:
    return ["down"] * ROWS[name]


class TestFields:
    def test_every_field_of_the_recipe_is_listed(self):
        assert [field.name for field in FIELDS] == list(Recipe.__struct_fields__)

    @given(st.lists(st.tuples(st.sampled_from(FIELDS), st.sampled_from([-1, 1])), max_size=60))
    def test_any_sequence_of_changes_gives_a_valid_recipe(self, turns):
        recipe = RECIPE
        for field, steps in turns:
            recipe = step_value(field, recipe, steps, ("fp32", "bf16"))
            check_recipe(recipe)

    @given(
        st.sampled_from([f for f in FIELDS if not f.words]), st.text("0123456789.e+-", max_size=12)
    )
    def test_typed_number_is_valid_or_explained(self, field, text):
        parsed = parse_value(field, RECIPE, text)
        if isinstance(parsed, str):
            assert parsed.startswith(("a number from", "a whole number from"))
        else:
            check_recipe(parsed)
            assert getattr(parsed, field.name) == float(text)

    @pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
    def test_left_reverts_right(self, field: Field):
        changed = step_value(field, RECIPE, 1, ("fp32", "bf16"))
        steps = -1 if changed != RECIPE else 1
        other = step_value(field, RECIPE, -steps if changed != RECIPE else -1, ("fp32", "bf16"))
        assert other != RECIPE
        assert shown(field, step_value(field, changed, steps, ("fp32", "bf16"))) == shown(
            field, RECIPE
        )

    def test_unsupported_precision_is_not_offered(self):
        field = FIELDS[ROWS["precision"]]
        assert step_value(field, RECIPE, 1, ("fp32",)) == RECIPE
        assert step_value(field, RECIPE, 1, ("fp32", "bf16")).precision == "bf16"


class TestScheduleCurve:
    @given(
        st.sampled_from(["constant", "cosine", "one-cycle"]),
        st.integers(1, 10**7),
        st.floats(0, 0.9),
        st.integers(40, 200),
        st.integers(3, 30),
    )
    def test_drawing_fits_for_any_number_of_steps(self, schedule, steps, warmup, width, height):
        recipe = msgspec.structs.replace(RECIPE, schedule=schedule, warmup=warmup)
        lines = schedule_curve(recipe, steps, steps // 2, width, height, plain=False)
        assert len(lines) == height
        assert all(cell_len("".join(text for text, _ in line)) <= width for line in lines)

    def test_cosine_falls_and_constant_does_not(self):
        def drawn(schedule):
            recipe = msgspec.structs.replace(RECIPE, schedule=schedule)
            lines = schedule_curve(recipe, 80, None, 60, 8, plain=True)
            return ["".join(text for text, _ in line)[9:] for line in lines[:-1]]

        constant, cosine = drawn("constant"), drawn("cosine")
        assert "'" in constant[0] and not any(line.strip() for line in constant[1:])
        assert cosine[0].startswith("'") and cosine[-1].rstrip().endswith(".")
        assert all(line.strip() for line in cosine)


class TestScreen:
    @pytest.mark.parametrize("size", SIZES)
    async def test_every_field_is_reachable_at_every_size(self, size):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=size) as pilot:
            await ready(pilot)
            await pilot.press("o")
            for field in FIELDS:
                row = next(line for line in screen_lines(app) if line.startswith(" ▸ "))
                assert field.label[:8] in row
                assert all(cell_len(line) == size[0] for line in screen_lines(app))
                await pilot.press("down")

    async def test_enter_applies_the_changes(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("o", "right", "down", "right")
            assert "2 to apply" in screen_lines(app)[0] and "initially sgd" in screen_text(app)
            assert not engine.sent(SetRecipe)
            await pilot.press(*["down"] * (ROWS["epochs"] - 1), *"25", "enter")
            await wait_until(pilot, lambda: app.screen is app.main)
            (sent,) = engine.sent(SetRecipe)
            began = engine.session.recipe
            assert sent.recipe == msgspec.structs.replace(
                began, optimizer="adamw", lr_head=0.02, epochs=25
            )
            await wait_until(pilot, lambda: app.run_state.training.recipe == sent.recipe)
            await pilot.press("o")
            assert "initially 0.01" in screen_text(app)

    @pytest.mark.parametrize("key", ["escape", "q"])
    async def test_escape_asks_before_it_discards_changes(self, key):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("o", "right", "down", *"12x", "backspace", "e", key)
            assert "2 changes are not applied. Enter applies, Esc again discards." in screen_text(
                app
            )
            assert "Esc discard" in screen_lines(app)[-1]
            await pilot.press("up")
            assert "not applied" not in screen_text(app)
            await pilot.press(key, key)
            await wait_until(pilot, lambda: app.screen is app.main)
            await pilot.press("o")
            assert "Esc back" in screen_lines(app)[-1] and "to apply" not in screen_lines(app)[0]
            await pilot.press(key)
            await wait_until(pilot, lambda: app.screen is app.main)
        assert not engine.sent(SetRecipe)

    async def test_enter_without_a_change_sends_nothing(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("o", "right", "left", "enter")
            await wait_until(pilot, lambda: app.screen is app.main)
            assert not engine.sent(SetRecipe)

    @pytest.mark.parametrize("size", [(80, 24), (40, 12)])
    async def test_invalid_number_is_explained_and_not_applied(self, size):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=size) as pilot:
            await ready(pilot)
            await pilot.press("o", *down_to("warmup"), *"1.5", "up", "up", "enter")
            assert "It must be a number from 0 to 0.9." in screen_text(app)
            assert app.screen is not app.main and not engine.sent(SetRecipe)
            await pilot.press(*["backspace"] * 3, *"0.2", "enter")
            await wait_until(pilot, lambda: app.screen is app.main)
            assert engine.sent(SetRecipe)[-1].recipe.warmup == 0.2

    async def test_recipe_changed_by_the_engine_is_shown(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        other = msgspec.structs.replace(engine.session.recipe, epochs=33)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("o")
            engine.emit(RecipeChanged(recipe=other, rates=engine.session.rates))
            await wait_until(pilot, lambda: "264 steps" in screen_text(app))
            assert "to apply" not in screen_lines(app)[0]

    async def test_ascii_terminal_gets_only_ascii(self):
        app = make_app(ScriptedEngine(opened(precisions=("fp32", "bf16"))), unicode=False)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("o", *down_to("schedule"), "right", "right")
            assert "[one-cycle]" in screen_text(app)
            assert "".join(screen_lines(app)).isascii()
            assert all(len(line) == 80 for line in screen_lines(app))

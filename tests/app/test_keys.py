"""Every key of the app, pressed by a pilot, on a scripted engine."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys

import pytest
from textual._styles_cache import StylesCache

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
    Audit,
    Open,
    SetMask,
    SetNormMode,
    StartOver,
    Step,
    UndoStartOver,
)
from tui.state.cursor import Target, target_name

SIZES = [(80, 24), (120, 40), (40, 12), (300, 80)]
STACK = resnet18_stack()
FC = frozenset(owners_named(STACK, "fc"))
LAYER4_1 = frozenset(owners_named(STACK, "layer4.1"))
ALL = frozenset(range(len(STACK.owners)))


def cursor(app) -> str:
    return target_name(app.run_state.stack, app.main.stack.view.cursor)


def last_mask(engine: ScriptedEngine) -> frozenset[int]:
    return frozenset(engine.sent(SetMask)[-1].trainable)


@pytest.mark.parametrize("size", SIZES)
class TestEverySize:
    async def test_layers_mask_and_a_step_are_visible(self, size):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=size) as pilot:
            await ready(pilot)
            await pilot.press("2")
            await pilot.press("t")
            await steps_taken(pilot, 1)
            lines = screen_lines(app)
            row = next(line for line in lines if " layer4.0" in line and "frozen" not in line)
            assert "train" in row and "updated" in row and "●" in row
            assert any("layer3.1" in line and "unreached" in line for line in lines)
            assert any("gradient stopped here" in line for line in lines)
            assert "q quit" in lines[-1] and "space freeze" in lines[-1]
            assert all(len(line) <= size[0] for line in lines)

    async def test_space_changes_the_row_in_the_same_frame(self, size):
        engine = ScriptedEngine(hold=True)
        app = make_app(engine)
        async with app.run_test(size=size) as pilot:
            await ready(pilot)
            await pilot.press("t")  # stays in flight
            await pilot.press("down", "space")
            row = next(line for line in screen_lines(app) if "█ layer4.1" in line)
            assert " train" in row
            assert last_mask(engine) == FC | LAYER4_1


class TestMovement:
    async def test_arrow_letter_end_and_page_keys_move_the_cursor(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            names = []
            for key in ("down", "j", "up", "k", "G", "g", "end", "home", "pagedown", "pageup"):
                await pilot.press(key)
                names.append(cursor(app))
        assert names[:4] == ["layer4.1", "layer4.0", "layer4.1", "fc"]
        assert names[4:8] == ["conv1", "fc", "conv1", "fc"]
        assert names[8] != "fc" and names[9] == "fc"

    async def test_row_expands_into_its_parts_and_collapses(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            await pilot.press("down", "right")
            assert "conv2" in screen_text(app)
            await pilot.press("down")
            assert cursor(app).startswith("layer4.1.")
            await pilot.press("left", "left")
            assert cursor(app) == "layer4.1" and "conv2" not in screen_text(app)
            await pilot.press("enter")
            assert "conv2" in screen_text(app)
            await pilot.press("enter", "l", "h", "h")
            assert app.main.stack.view.cursor == Target("stage", 4)
            await pilot.press("space")
            assert owners_named(STACK, "layer4") == tuple(sorted(app.run_state.wanted - FC))

    async def test_find_moves_the_cursor_while_typing(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("slash", *"layer2")
            await pilot.pause()
            assert cursor(app).startswith("layer2")
            await pilot.press(*"xyz")
            await wait_until(pilot, lambda: "no such layer" in screen_text(app))
            await pilot.press("enter")
            await wait_until(pilot, lambda: app.screen is app.main)
            assert cursor(app).startswith("layer2")

    async def test_the_inspector_follows_the_cursor(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("G")
            await wait_until(pilot, lambda: "conv1 ─ frozen by 1 head" in screen_text(app))
            assert "Conv2d 3→64" in screen_text(app) and "BN eval" in screen_text(app)

    async def test_152_layers_scroll_while_loss_and_wall_stay_visible(self):
        app = make_app(ScriptedEngine(opened(bottleneck_stack())))
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("t")
            await steps_taken(pilot, 1)
            await pilot.press("G")
            text = screen_text(app)
            assert "conv1" in text and "loss 0." in text and "gradient stopped" in text


class TestMask:
    async def test_space_trains_all_of_a_partial_row_then_freezes_it(self):
        part = owners_named(STACK, "layer4.1.conv1")
        engine = ScriptedEngine(opened(trainable=(*part, *FC)))
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("down")
            wanted = []
            for _ in range(3):
                await pilot.press("space")
                wanted.append(app.run_state.wanted)
        assert wanted == [FC | LAYER4_1, FC, FC | LAYER4_1]
        assert [frozenset(command.trainable) for command in engine.sent(SetMask)] == wanted

    async def test_freeze_below_makes_the_row_the_boundary(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("down", "down", "down", "f")
        below = STACK.rows[6]
        assert below.name == "layer3.1"
        assert last_mask(engine) == frozenset(range(below.first_owner, len(STACK.owners)))

    @pytest.mark.parametrize(
        ("key", "name"),
        [("2", "last-stage"), ("3", "last-two-stages"), ("4", "full"), ("1", "feature-extraction")],
    )
    async def test_number_keys_choose_strategies(self, key, name):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("down", "space", key)
            assert app.run_state.strategy == name
            assert f"[{key} " in screen_lines(app)[1]
            assert last_mask(engine) == frozenset(engine.session.strategies[name])

    async def test_strategy_list_shows_parameters_and_applies_a_choice(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("s")
            await wait_until(pilot, lambda: "8.39 M" in screen_text(app))
            await pilot.press("down", "down", "enter")
            assert app.run_state.strategy == "last-two-stages"
            await pilot.press("s", "escape", "s", "4")
            assert app.run_state.strategy == "full"

    async def test_undo_and_redo(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("down", "space", "u")
            assert app.run_state.wanted == FC == last_mask(engine)
            assert "Undone: thaw layer4.1" in screen_text(app)
            await pilot.press("U")
            assert app.run_state.wanted == FC | LAYER4_1 == last_mask(engine)
            await pilot.press("u", "u")
            assert "nothing to undo" in screen_text(app)

    async def test_click_on_a_brick_toggles_it(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            row = next(y for y, line in enumerate(screen_lines(app)) if "layer4.1" in line)
            await pilot.click(offset=(4, row))
            await pilot.pause()
            assert app.run_state.wanted == FC | LAYER4_1

    async def test_footer_follows_the_row_under_the_cursor(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            assert "space freeze" in screen_lines(app)[-1]
            await pilot.press("down")
            await wait_until(pilot, lambda: "space thaw" in screen_lines(app)[-1])

    async def test_b_cycles_the_batchnorm_mode_of_a_row(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        norms = set(owners_named(STACK, "layer4.1.bn1", "layer4.1.bn2"))
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("b")
            assert "fc has no BatchNorm" in screen_text(app)
            await pilot.press("down", "b")
            await wait_until(pilot, lambda: "BatchNorm statistics only" in screen_text(app))
            await pilot.press("b")
            await wait_until(pilot, lambda: "BN eval" in screen_text(app))
            await pilot.press("space", "b")
            await wait_until(pilot, lambda: len(engine.sent(SetNormMode)) == 3)
        modes = [(set(command.owners), command.mode) for command in engine.sent(SetNormMode)]
        assert modes == [(norms, "train"), (norms, "auto"), (norms, "eval")]


class TestSteps:
    async def test_holding_t_queues_at_most_one_step(self):
        engine = ScriptedEngine(hold=True)
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press(*"tttttttt")
            assert len(engine.sent(Step)) == 1
            engine.release()
            await wait_until(pilot, lambda: len(engine.sent(Step)) == 2)
            engine.release()
            await steps_taken(pilot, 2)
            await pilot.pause(0.05)
            assert len(engine.sent(Step)) == 2

    async def test_screen_shows_the_loss_of_the_step(self):
        app = make_app(ScriptedEngine(loss=lambda step: 0.777))
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            await pilot.press("t")
            await steps_taken(pilot, 1)
            await wait_until(pilot, lambda: "now .78" in screen_text(app))
            text = screen_text(app)
            assert "loss 0.777" in text and "step 1" in text and "slower than it ran" in text

    async def test_step_requested_early_runs_when_the_engine_is_ready(self):
        engine = ScriptedEngine(opens=False)
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await wait_until(pilot, lambda: engine.sent(Open))
            await pilot.press("t", "t")
            assert "step will run" in screen_text(app) and not engine.sent(Step)
            engine.open_now()
            await steps_taken(pilot, 1)
        assert len(engine.sent(Step)) == 1

    async def test_replay_needs_a_step_and_gets_slower(self):
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            await pilot.press("full_stop")
            assert "no measured step" in screen_text(app)
            app.animation_level = "full"
            await pilot.press("t")
            await steps_taken(pilot, 1)
            await wait_until(pilot, lambda: app.main.stack.replaying)
            await pilot.press("full_stop")
            slow = app.main.stack.replay_label()
            await pilot.press("full_stop")
            assert app.main.stack.replaying
            assert app.main.stack.replay_label() != slow

    async def test_start_over_keeps_a_ghost_and_can_be_undone(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            for step in (1, 2, 3):
                await pilot.press("t")
                await steps_taken(pilot, step)
            await pilot.press("0")
            await wait_until(pilot, lambda: app.run_state.step == 0)
            await pilot.press("u")
            await wait_until(pilot, lambda: app.run_state.step == 3)
            await pilot.press("0")
            await wait_until(pilot, lambda: app.run_state.step == 0)
            await pilot.press("4", "t")
            await wait_until(pilot, lambda: "now" in screen_text(app))
            await wait_until(pilot, lambda: "┈ 1 head" in screen_text(app))
        assert len(engine.sent(StartOver)) == 2 and len(engine.sent(UndoStartOver)) == 1

    async def test_audit_reports_its_result(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("a")
            await wait_until(pilot, lambda: "all 100 frozen tensors" in screen_text(app))
        assert len(engine.sent(Audit)) == 1

    async def test_non_finite_losses_do_not_break_the_curve(self):
        losses = {1: 0.5, 2: float("nan"), 3: float("inf")}
        app = make_app(ScriptedEngine(loss=lambda step: losses.get(step, 0.4)))
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("t")
            await steps_taken(pilot, 1)
            await pilot.press("t")
            await wait_until(pilot, lambda: "now nan" in screen_text(app))
            await pilot.press("t")
            await wait_until(pilot, lambda: "now inf" in screen_text(app))
            await pilot.press("t")
            await wait_until(pilot, lambda: "now .40" in screen_text(app))


def test_the_app_imports_no_torch():
    code = "import sys, tui.app.app; print('torch' in sys.modules, 'textual' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_each_key_has_one_action():
    from tui.keys import KEYS

    keys = [name for key in KEYS for name in key.keys]
    assert len(keys) == len(set(keys))


async def test_each_action_exists():
    from tui.keys import KEYS

    app = make_app(ScriptedEngine())
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        for key in KEYS:
            namespace, _, action = key.action.rpartition(".")
            owner = app.main if namespace == "screen" else app
            assert callable(getattr(owner, f"action_{action.partition('(')[0]}", None)), key.action
        await asyncio.sleep(0)


async def test_closed_screens_are_freed() -> None:
    """Textual caches the lines of up to 1,024 closed widgets; the app clears that cache."""
    app = make_app(ScriptedEngine())
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        counts = []
        for _ in range(3):
            for key in ("question_mark", "s", "o", "w", "e", "colon") * 2:
                await pilot.press(key)
                await wait_until(pilot, lambda: app.screen is not app.main)
                await pilot.press("escape")
                await wait_until(pilot, lambda: app.screen is app.main)
            gc.collect()
            counts.append(sum(isinstance(item, StylesCache) for item in gc.get_objects()))
        assert counts[2] <= counts[0] + 5, counts

"""What the app keeps when the engine stops or is still opening, and which messages stay pinned."""

from __future__ import annotations

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
from tests.support.stack_messages import opened, owners_named, resnet18_stack
from tl_tui.protocol.checks import CrossValidationEnded, FoldProgressed
from tl_tui.protocol.commands import Open, SetMask, SetNormMode, SetRate, Train, UndoStartOver
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import Refused
from tl_tui.protocol.session import NormModeChanged, Plan, PlanPhase, RecipeChanged
from tl_tui.protocol.training import ImageSkipped
from tui.app.config_from_state import config_to_reopen
from tui.state.mask_undo import StartOverEntry
from tui.state.run_state import RunState

FC = frozenset(owners_named(resnet18_stack(), "fc"))
NORM = owners_named(resnet18_stack(), "layer4.1.bn2")[0]


async def test_r_while_opening_trains_once_the_engine_is_ready():
    engine = ScriptedEngine(opens=False, hold=True)
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: engine.starts)
        await pilot.press("r")
        await wait_until(pilot, lambda: "Training will start" in screen_text(app))
        await pilot.press("r", "r")
        assert not engine.sent(Train)
        engine.open_now()
        await ready(pilot)
        await wait_until(pilot, lambda: len(engine.sent(Train)) == 1)


async def test_r_twice_while_opening_cancels_training():
    engine = ScriptedEngine(opens=False, hold=True)
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: engine.starts)
        await pilot.press("r", "r")
        engine.open_now()
        await ready(pilot)
        await pilot.press("t")
        engine.release()
        await steps_taken(pilot, 1)
    assert not engine.sent(Train)


async def test_restarted_engine_gets_the_settings_and_the_app_says_what_is_lost():
    engine = ScriptedEngine(hold=True)
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("t")
        engine.release()
        await steps_taken(pilot, 1)
        recipe = msgspec.structs.replace(engine.session.recipe, lr_head=0.5, weight_decay=0.25)
        changed_rates = [0.5 if row == 3 else rate for row, rate in enumerate(engine.session.rates)]
        engine.emit(RecipeChanged(recipe=recipe, rates=tuple(changed_rates)))
        engine.emit(NormModeChanged(owners=(NORM,), mode="train"))
        await wait_until(pilot, lambda: app.run_state.norm_modes)
        engine.die()
        await wait_until(pilot, lambda: engine.reason in screen_text(app))
        await pilot.press("R")
        await ready(pilot)
        await wait_until(pilot, lambda: "up to 1 are lost" in screen_text(app))
        assert "no checkpoint" in screen_text(app) and "(Esc to dismiss)" in screen_text(app)
        config = engine.sent(Open)[1].config
        assert (config.lr, config.weight_decay) == (0.5, 0.25)
        rates = [(command.rows, command.rate) for command in engine.sent(SetRate)]
        assert ((3,), 0.5) in rates
        assert [(c.owners, c.mode) for c in engine.sent(SetNormMode)] == [((NORM,), "train")]


def test_restarted_engine_writes_next_to_the_named_run_directory(tmp_path):
    state = RunState()
    state.apply(opened())
    config = RunConfig(run_dir=f"{tmp_path}/run")
    (tmp_path / "run").mkdir()
    assert config_to_reopen(config, state).run_dir == f"{tmp_path}/run-2"
    (tmp_path / "run-2").mkdir()
    assert config_to_reopen(config, state).run_dir == f"{tmp_path}/run-3"


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_main_screen_shows_the_progress_of_a_cross_validation(size):
    engine = ScriptedEngine()
    app = make_app(engine)
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        engine.emit(FoldProgressed(fold=2, folds=5, step=3, steps=16))
        await wait_until(pilot, lambda: "fold 2 of 5 · step 3 of 16" in screen_lines(app)[0])
        await pilot.press("colon", *"cross", "enter")
        await wait_until(pilot, lambda: "0 of 5 folds" in screen_text(app))
        await pilot.press("escape")
        engine.emit(
            CrossValidationEnded(folds=5, correct=3, total=4, accuracies=(0.75,), reason="paused")
        )
        await wait_until(pilot, lambda: "fold 2" not in screen_lines(app)[0])


async def test_message_about_an_unreadable_class_stays_until_dismissed():
    engine = ScriptedEngine()
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        lost = "Not one training image of hot dog can be read."
        engine.emit(ImageSkipped(path="a.jpg", reason="empty", total=3, lost_class=lost))
        await wait_until(pilot, lambda: lost in screen_text(app))
        await pilot.press("down")
        assert f"(Esc to dismiss) {lost}" in screen_text(app)
        await pilot.press("escape")
        await wait_until(pilot, lambda: lost not in screen_text(app))


async def test_second_enter_in_the_palette_is_ignored():
    app = make_app(ScriptedEngine())
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("colon", *"find a")
        await pilot.press("enter", "enter", "enter")
        await wait_until(pilot, lambda: type(app.screen).__name__ in ("Find", "MainScreen"))
        await pilot.press("escape", "j")
    assert not app._exception


async def test_keys_work_after_the_palette_closes():
    """Both after Escape and after an action was chosen."""
    app = make_app(ScriptedEngine())
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("colon", "escape", "t")
        await steps_taken(pilot, 1)
        await pilot.press("colon", *"take one")
        await wait_until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press("escape")
        await wait_until(pilot, lambda: len(app.screen_stack) == 1)
        await pilot.press("t")
        await steps_taken(pilot, 2)


async def test_start_over_can_be_undone_before_the_engine_answers():
    engine = ScriptedEngine()
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("t")
        await steps_taken(pilot, 1)
        await pilot.press("0", "u")
        await wait_until(pilot, lambda: engine.sent(UndoStartOver))
        await wait_until(pilot, lambda: app.run_state.step == 1)
        assert not [e for e in app.run_state.undo_list if isinstance(e, StartOverEntry)]


async def test_refused_start_over_is_not_reported_as_done():
    engine = ScriptedEngine()
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("t")
        await steps_taken(pilot, 1)
        engine.send = lambda command: engine.emit(Refused(id=command.id, reason="Not now."))  # type: ignore[method-assign]
        await pilot.press("0")
        await wait_until(pilot, lambda: "Not now." in screen_text(app))
        assert "Started over" not in screen_text(app)


async def test_cached_plan_is_not_shown_and_a_strategy_chosen_early_is_kept(tmp_path):
    plan = Plan(
        name="lp-ft",
        phases=(PlanPhase(name="head", trainable=tuple(FC), after_step=0, steps=8, epoch=1),),
    )
    first = make_app(ScriptedEngine(opened(plan=plan)))
    async with first.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
    full = tuple(range(len(resnet18_stack().owners)))
    engine = ScriptedEngine(opened(trainable=full, strategy="full"), opens=False)
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: app.run_state.provisional)
        assert "plan" not in screen_lines(app)[1]
        await pilot.press("1")
        engine.open_now()
        await ready(pilot)
        assert app.run_state.wanted == FC
        await wait_until(pilot, lambda: engine.sent(SetMask))
        assert frozenset(engine.sent(SetMask)[-1].trainable) == FC

"""What is asked before it happens: a new start, a layer put back, the choices as a file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events

from tests.support.app_pilot import make_app, ready, screen_text, wait_until
from tests.support.scripted_engine import ScriptedEngine
from tests.support.stack_messages import opened, owners_named, resnet18_stack
from tl_tui.protocol.checks import Audited, AuditFinding
from tl_tui.protocol.commands import RestoreLayer, SetRecipe, StartOver, UndoRestoreLayer
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.session import StartedOver
from tl_tui.settings import config_file
from tui.app.config_from_state import caveat, current_config
from tui.drawing.sanitize import padded, sanitize, shorten_path
from tui.state.run_state import RunState
from tui.text.notices import audit_sentence

STACK = resnet18_stack()


@pytest.fixture(autouse=True)
def own_directories(tmp_path, monkeypatch):
    for name in ("CONFIG", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))


class TestNewStart:
    async def test_it_says_what_is_kept_and_asks(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            app.action_new_start()
            await wait_until(pilot, lambda: "kept as a checkpoint" in screen_text(app))
            assert "ghost" in screen_text(app) and "first start again" not in screen_text(app)
            await pilot.press("escape")
            await wait_until(pilot, lambda: app.screen is app.main)
            assert not engine.sent(StartOver)
            app.action_new_start()
            await wait_until(pilot, lambda: "from scratch" in screen_text(app))
            await pilot.press("1")
            await wait_until(pilot, lambda: engine.sent(StartOver))
            assert engine.sent(StartOver)[0].weights == "none"

    async def test_from_another_start_back_to_the_first(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            engine.emit(
                StartedOver(
                    start=1,
                    from_step=3,
                    weights="random",
                    pretrained=False,
                    cycle=engine.session.cycle,
                )
            )
            await wait_until(pilot, lambda: app.run_state.training.weights == "random")
            app.action_new_start()
            await wait_until(
                pilot, lambda: "the first start again: ImageNet V1" in screen_text(app)
            )
            await pilot.press("2")
            await wait_until(pilot, lambda: engine.sent(StartOver))
            assert engine.sent(StartOver)[0].weights == "first"


class TestRestoring:
    async def test_a_layer_is_put_back_once_that_was_confirmed(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("down")
            app.action_restore_layer()
            await wait_until(
                pilot, lambda: "Return layer4.1 to its first weights?" in screen_text(app)
            )
            await pilot.press("enter")  # the cursor stands on leaving it
            await wait_until(pilot, lambda: app.screen is app.main)
            assert not engine.sent(RestoreLayer)
            app.action_restore_layer()
            await wait_until(pilot, lambda: "first weights?" in screen_text(app))
            await pilot.press("y")
            await wait_until(pilot, lambda: "has its weights as this start" in screen_text(app))
            assert engine.sent(RestoreLayer)[0].owners == owners_named(STACK, "layer4.1")
            await pilot.press("u")
            await wait_until(pilot, lambda: engine.sent(UndoRestoreLayer))

    async def test_keys_typed_behind_the_answer_are_harmless(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            app.action_restore_layer()
            await wait_until(pilot, lambda: "first weights?" in screen_text(app))
            question = app.screen
            for key in ("y", "y", "escape", "enter"):
                question.post_message(events.Key(key, key if len(key) == 1 else None))
            await wait_until(pilot, lambda: app.screen is app.main)
            assert len(engine.sent(RestoreLayer)) == 1


class TestSaving:
    async def test_the_choices_as_they_are_now(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("3", "o", "right", "enter")
            await wait_until(pilot, lambda: engine.sent(SetRecipe))
            await wait_until(pilot, lambda: app.run_state.training.recipe.optimizer == "adamw")
            app.action_save_choices()
            await wait_until(pilot, lambda: "tl-tui.toml" in screen_text(app))
            await pilot.press("enter")
            await wait_until(pilot, lambda: "Saved: tl-tui train --config" in screen_text(app))
        found = config_file.read_config_file(tmp_path / "tl-tui.toml")
        assert found["strategy"] == "last-two-stages" and found["optimizer"] == "adamw"
        assert found["lr"] == 0.01 and found["lr_pretrained"] == 0.001
        RunConfig(**found)

    async def test_a_mask_by_hand_is_saved_by_names(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        part = owners_named(STACK, "layer4.1.conv1")
        engine = ScriptedEngine(opened(trainable=(*part, *owners_named(STACK, "fc"))))
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            app.action_save_choices()
            await wait_until(pilot, lambda: "tl-tui.toml" in screen_text(app))
            await pilot.press(*["backspace"] * len("tl-tui.toml"), *"a.toml", "enter")
            await wait_until(pilot, lambda: "Saved" in screen_text(app))
        found = config_file.read_config_file(tmp_path / "a.toml")
        assert found["trainable"] == ("layer4.1.conv1", "fc") and "strategy" not in found

    async def test_a_file_that_is_there_is_not_written_over_unasked(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        there = tmp_path / "tl-tui.toml"
        there.write_text("epochs = 3\n")
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            for answer, changed in (("enter", False), ("y", True)):
                app.action_save_choices()
                await wait_until(pilot, lambda: "Which file?" in screen_text(app))
                await pilot.press("enter")
                await wait_until(pilot, lambda: "is there already" in screen_text(app))
                await pilot.press(answer)
                await wait_until(pilot, lambda: app.screen is app.main)
                assert (there.read_text() != "epochs = 3\n") is changed

    async def test_a_bad_name_is_told_in_place(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "d").mkdir()
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            app.action_save_choices()
            await wait_until(pilot, lambda: "Which file?" in screen_text(app))
            for typed, told in (
                ("", "It needs a name"),
                ("d", "d is a folder"),
                ("no/x", "There is no folder"),
            ):
                await pilot.press(*["backspace"] * 12, *typed, "enter")
                await wait_until(pilot, lambda: told in screen_text(app))  # noqa: B023
            await pilot.press("escape")
            await wait_until(pilot, lambda: app.screen is app.main)
        assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".toml") == []

    @given(st.sets(st.integers(0, len(STACK.owners) - 1)))
    def test_names_mean_the_mask_or_it_is_said_that_they_do_not(self, mask):
        state = RunState()
        state.apply(opened(trainable=mask))
        names = current_config(RunConfig(), state).trainable or ()
        owners = {owner for name in names for owner in owners_named(STACK, name)}
        assert (owners == mask) is (not caveat(state)) or state.strategy or not mask
        assert owners >= mask or state.strategy

    async def test_a_mask_that_a_file_cannot_say(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        app = make_app(ScriptedEngine(opened(trainable=())))
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            app.action_save_choices()
            await wait_until(pilot, lambda: "Which file?" in screen_text(app))
            await pilot.press("enter")
            await wait_until(pilot, lambda: "cannot say that nothing trains" in screen_text(app))
        assert "trainable" not in config_file.read_config_file(tmp_path / "tl-tui.toml")


class TestAudit:
    def test_one_finding(self):
        audited = Audited(tensors=9, findings=(AuditFinding("bn.running_mean", "it drifted"),))
        assert audit_sentence(audited) == (
            "Audit: bn.running_mean changed though frozen: it drifted."
        )

    def test_many_findings_are_told_by_cause(self):
        drifted = [AuditFinding(f"bn{n}.running_mean", "it drifted") for n in range(40)]
        others = [AuditFinding("a", "it was written to"), AuditFinding("b", "requires_grad")]
        sentence = audit_sentence(Audited(tensors=100, findings=(*others, *drifted)))
        assert sentence == (
            "Audit: 42 of 100 frozen tensors changed. bn0.running_mean and 39 more: it drifted. "
            "a: it was written to. 1 more by other causes."
        )

    def test_none(self):
        assert "all 1,234 frozen tensors" in audit_sentence(Audited(tensors=1234, findings=()))


class TestNames:
    @given(st.text(max_size=40), st.integers(0, 30))
    def test_any_name_takes_the_cells_it_is_given(self, name, width):
        from rich.cells import cell_len

        shown = sanitize(name)
        assert cell_len(padded(shown, width)) == width
        assert cell_len(shorten_path(shown, width)) <= width

    def test_what_has_no_picture_is_written_out(self):
        assert sanitize("a\x1b[1mb\n\u202e\udc80") == "a\\x1b[1mb\\x0a\\u202e\\udc80"
        assert sanitize("e\u0301") == "é"

    def test_the_end_of_a_path_stays(self):
        short = shorten_path("/data/photos/val/hot dog/IMG_0042.jpg", 20)
        assert short.endswith("IMG_0042.jpg") and short.startswith("/data") and "…" in short

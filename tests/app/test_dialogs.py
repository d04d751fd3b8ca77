"""Dialogs that ask before a change: a new start, a restored layer, a saved configuration."""

from __future__ import annotations

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
from tui.app.config_from_state import current_config, omitted_settings_text
from tui.drawing.lines import shorten_middle
from tui.drawing.sanitize import padded, sanitize
from tui.state.run_state import RunState
from tui.text.notices import audit_sentence

STACK = resnet18_stack()


class TestNewStart:
    async def test_dialog_says_what_is_kept_and_escape_cancels(self):
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

    async def test_second_start_offers_the_first_weights_again(self):
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


class TestRestoreLayer:
    async def test_layer_is_restored_only_after_confirmation(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("down")
            app.action_restore_layer()
            await wait_until(
                pilot, lambda: "Return layer4.1 to its first weights?" in screen_text(app)
            )
            await pilot.press("enter")  # "cancel" is selected
            await wait_until(pilot, lambda: app.screen is app.main)
            assert not engine.sent(RestoreLayer)
            app.action_restore_layer()
            await wait_until(pilot, lambda: "first weights?" in screen_text(app))
            await pilot.press("y")
            await wait_until(
                pilot, lambda: "has the weights of the beginning of this start" in screen_text(app)
            )
            assert engine.sent(RestoreLayer)[0].owners == owners_named(STACK, "layer4.1")
            await pilot.press("u")
            await wait_until(pilot, lambda: engine.sent(UndoRestoreLayer))

    async def test_keys_typed_after_the_answer_are_ignored(self):
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


class TestSaveConfiguration:
    async def test_saves_the_current_settings(self, tmp_path, monkeypatch):
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
            await wait_until(pilot, lambda: "Saved. tl-tui train --config" in screen_text(app))
        saved = config_file.read_config_file(tmp_path / "tl-tui.toml")
        assert saved["strategy"] == "last-two-stages" and saved["optimizer"] == "adamw"
        assert saved["lr"] == 0.01 and saved["lr_pretrained"] == 0.001
        RunConfig(**saved)

    async def test_mask_without_a_strategy_is_saved_as_layer_names(self, tmp_path, monkeypatch):
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
        saved = config_file.read_config_file(tmp_path / "a.toml")
        assert saved["trainable"] == ("layer4.1.conv1", "fc") and "strategy" not in saved

    async def test_existing_file_is_overwritten_only_after_confirmation(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        existing = tmp_path / "tl-tui.toml"
        existing.write_text("epochs = 3\n")
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            for answer, changed in (("enter", False), ("y", True)):
                app.action_save_choices()
                await wait_until(pilot, lambda: "Which file?" in screen_text(app))
                await pilot.press("enter")
                await wait_until(pilot, lambda: "already exists" in screen_text(app))
                await pilot.press(answer)
                await wait_until(pilot, lambda: app.screen is app.main)
                assert (existing.read_text() != "epochs = 3\n") is changed

    async def test_invalid_file_name_is_explained_in_the_dialog(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "d").mkdir()
        app = make_app(ScriptedEngine())
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            app.action_save_choices()
            await wait_until(pilot, lambda: "Which file?" in screen_text(app))
            for typed, error in (
                ("", "Enter a file name"),
                ("d", "d is a folder."),
                ("no/x", "The folder no does not exist"),
            ):
                await pilot.press(*["backspace"] * 12, *typed, "enter")
                await wait_until(pilot, lambda: error in screen_text(app))  # noqa: B023
            await pilot.press("escape")
            await wait_until(pilot, lambda: app.screen is app.main)
        assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".toml") == []

    @given(st.sets(st.integers(0, len(STACK.owners) - 1)))
    def test_saved_names_give_the_same_mask_unless_a_message_says_otherwise(self, mask):
        state = RunState()
        state.apply(opened(trainable=mask))
        names = current_config(RunConfig(), state).trainable or ()
        owners = {owner for name in names for owner in owners_named(STACK, name)}
        assert (owners == mask) is (not omitted_settings_text(state)) or state.strategy or not mask
        assert owners >= mask or state.strategy

    async def test_empty_mask_cannot_be_saved_and_a_message_says_so(self, tmp_path, monkeypatch):
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
    def test_sentence_for_one_finding(self):
        audited = Audited(tensors=9, findings=(AuditFinding("bn.running_mean", "it drifted"),))
        assert audit_sentence(audited) == (
            "Audit: bn.running_mean changed though frozen: it drifted."
        )

    def test_many_findings_are_grouped_by_cause(self):
        drifted = [AuditFinding(f"bn{n}.running_mean", "it drifted") for n in range(40)]
        others = [AuditFinding("a", "it was written to"), AuditFinding("b", "requires_grad")]
        sentence = audit_sentence(Audited(tensors=100, findings=(*others, *drifted)))
        assert sentence == (
            "Audit: 42 of 100 frozen tensors changed. bn0.running_mean and 39 more: it drifted. "
            "a: it was written to. 1 more by other causes."
        )

    def test_sentence_without_findings(self):
        assert "all 1,234 frozen tensors" in audit_sentence(Audited(tensors=1234, findings=()))


class TestNames:
    @given(st.text(max_size=40), st.integers(0, 30))
    def test_padded_names_and_shortened_paths_fit_their_width(self, name, width):
        from rich.cells import cell_len

        shown = sanitize(name)
        assert cell_len(padded(shown, width)) == width
        assert cell_len(shorten_middle(shown, width)) <= width

    def test_control_characters_are_escaped(self):
        assert sanitize("a\x1b[1mb\n\u202e\udc80") == "a\\x1b[1mb\\x0a\\u202e\\udc80"
        assert sanitize("e\u0301") == "é"

    def test_shortened_path_keeps_its_file_name(self):
        short = shorten_middle("/data/photos/val/hot dog/IMG_0042.jpg", 20)
        assert short.endswith("IMG_0042.jpg") and short.startswith("/data") and "…" in short

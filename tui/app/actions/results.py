"""Actions that open full screens and dialogs: results, images, recipe, cross-validation, runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from tl_tui.common.errors import Problem
from tl_tui.protocol.checks import CrossValidationEnded, LrRangeTested
from tl_tui.protocol.commands import (
    CrossValidate,
    Evaluate,
    Pause,
    RestoreLayer,
    ResumeRun,
    SetRecipe,
    ShowImages,
    ShowResults,
    TestLrRange,
)
from tl_tui.protocol.config import Recipe, RunConfig
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.results import ImagesShown, ResultsShown
from tl_tui.protocol.training import Validated
from tl_tui.runs.run_reader import Run
from tl_tui.settings import config_file
from tui.app.config_from_state import current_config, discarded_rates_text, omitted_settings_text
from tui.app.overlays import Overlays
from tui.screens.choice_dialog import Choice, ChoiceDialog
from tui.screens.cross_validation import CrossValidationScreen, ended_sentence
from tui.screens.images import ImagesScreen, What
from tui.screens.lr_range_test import LrRangeTestScreen
from tui.screens.new_start import NewStartDialog
from tui.screens.recipe import RecipeScreen
from tui.screens.results.screen import ResultsScreen
from tui.screens.runs import RunsScreen
from tui.screens.text_input import TextInput
from tui.state.cursor import target_owners
from tui.state.notice import activity
from tui.text.layer_names import names_of
from tui.text.notices import recipe_notice

DEFAULT_CONFIG_FILE = "tl-tui.toml"
DEFAULT_FOLDS, MAX_FOLDS = 5, 100
CANCEL = Choice(("escape", "n"), "cancel", "")


class ResultActions(Overlays):
    """Actions that open full screens and dialogs."""

    EVENTS: ClassVar[tuple[type, ...]] = (
        Validated,
        ResultsShown,
        ImagesShown,
        LrRangeTested,
        CrossValidationEnded,
    )

    def handle(self, event: AnyEvent) -> None:
        match event:
            case Validated(yardstick=False) if isinstance(self.overlay, ResultsScreen):
                if not {ShowResults, Evaluate} & set(self.requests.values()):
                    self.request(ShowResults)
            case ResultsShown():
                self.request_answered(ShowResults, Evaluate)
            case ImagesShown():
                self.request_answered(ShowImages)
            case LrRangeTested(done=True):
                self.request_answered(TestLrRange)
            case CrossValidationEnded():
                self.request_answered(CrossValidate)
                if not isinstance(self.overlay, CrossValidationScreen):
                    self.messages.enqueue(ended_sentence(event))

    # --- results and images ---------------------------------------------------------------------

    def action_results(self) -> None:
        if self.run_state.results.results is not None or self.need_engine():
            self.open_overlay(
                ResultsScreen(
                    self.run_state,
                    self.appearance,
                    evaluate=self._evaluate,
                    pictures=partial(self._show_images, "wrong"),
                )
            )
            self.request(ShowResults)

    def _evaluate(self) -> bool:
        """Request an evaluation; return False, with a message, if the engine is not ready."""
        if not self.need_engine():
            return False
        self.request(Evaluate)
        self.messages.show_now(
            "Evaluating all validation images with the current weights.",
            lambda s: (Evaluate in self.requests.values(), activity(s)),
        )
        return True

    def action_images(self) -> None:
        self._show_images("batch")

    def _show_images(self, what: What) -> None:
        if self.need_engine():
            self.open_overlay(
                ImagesScreen(
                    self.run_state,
                    self.appearance,
                    ask=lambda what, side, most: self.request(
                        ShowImages, selection=what, size=side, limit=most
                    ),
                    no_pictures=self._why_no_pictures(),
                    what=what,
                )
            )

    def _why_no_pictures(self) -> str:
        """Return why this terminal cannot show pictures; empty if it can."""
        if self.glyphs.plain:
            return "No pictures: this terminal shows ASCII only."
        if self.terminal.monochrome:
            return "No pictures: this terminal has no colours."
        if self.console.color_system == "standard":
            return "No pictures: this terminal has only 16 colours."
        return ""

    # --- the recipe -----------------------------------------------------------------------------

    def action_recipe(self) -> None:
        if self.need_engine():
            self.open_overlay(RecipeScreen(self.run_state, self.appearance, apply=self._set_recipe))

    def _set_recipe(self, recipe: Recipe) -> None:
        discarded = discarded_rates_text(self.run_state, recipe)
        notice = recipe_notice(self.run_state, recipe, discarded)
        self.engine_session.send(SetRecipe, recipe=recipe)
        self.messages.notify(notice)

    def action_range_test(self) -> None:
        if self.need_engine():
            self.open_overlay(
                LrRangeTestScreen(
                    self.run_state,
                    self.appearance,
                    start=partial(self.request, TestLrRange),
                    stop=self._stop_side_work,
                    apply=self._set_recipe,
                )
            )

    def _stop_side_work(self) -> None:
        if self.run_state.phase == "ready":
            self.engine_session.send(Pause)
            self.run_state.busy = None  # a heartbeat sets it again if the engine is still busy

    # --- cross-validation -----------------------------------------------------------------------

    def action_folds(self) -> None:
        results = self.run_state.results
        if results.folds or results.fold:
            self._show_folds(None)
        elif self.need_engine():
            self._ask_number_of_folds()

    def _ask_number_of_folds(self) -> None:
        sentence = (
            "Cross-validation validates every image once, with a model that was trained on the "
            "other splits from the session's initial weights. How many splits?"
        )
        value = str(self.engine_session.config.folds or DEFAULT_FOLDS)
        self.push_screen(
            TextInput("splits", sentence, value, folds_error, self.appearance),
            self._cross_validate,
        )

    def _cross_validate(self, answer: str | None) -> None:
        if answer is not None and self.need_engine():
            self._show_folds(int(answer))
            self.request(CrossValidate, folds=int(answer))

    def _show_folds(self, folds: int | None) -> None:
        self.open_overlay(
            CrossValidationScreen(
                self.run_state,
                self.appearance,
                folds=folds,
                stop=self._stop_side_work,
                again=self._ask_number_of_folds,
            )
        )

    # --- starts and layers ----------------------------------------------------------------------

    def action_new_start(self) -> None:
        if self.need_engine():
            self.push_screen(NewStartDialog(self.run_state, self.appearance), self._begin_new_start)

    def _begin_new_start(self, weights: str | None) -> None:
        if weights and self.need_engine():
            self.engine_session.start_over(weights, beside=True)

    def action_restore_layer(self) -> None:
        target, stack = self.need_stack(), self.run_state.stack
        if target is None or stack is None or not self.need_engine():
            return
        owners = tuple(target_owners(self.run_state, target))
        names = names_of(stack, owners, 3)
        question = ChoiceDialog(
            f"Return {names.text} to its first weights?",
            f"The weights and buffers of {names.text} become those of the beginning of this start; "
            "nothing else changes. u undoes this until the next step.",
            [Choice(("y",), "return to the first weights", "yes"), CANCEL],
            self.appearance,
            cursor=1,
        )
        self.push_screen(question, lambda answer: self._restore(owners) if answer else None)

    def _restore(self, owners: tuple[int, ...]) -> None:
        if self.need_engine():
            self.engine_session.send(RestoreLayer, owners=owners)

    # --- runs -----------------------------------------------------------------------------------

    def action_runs(self) -> None:
        if self.link.host:
            self.messages.show_now(
                f"The runs are on {self.link.host}. Run tl-tui runs there to list them."
            )
            return
        current = self.run_state.session.run_dir if self.run_state.session else ""
        self.open_overlay(
            RunsScreen(self.run_state, self.appearance, current=current, resume=self._resume_run)
        )

    def _resume_run(self, found: Run) -> None:
        engine_stopped = self.run_state.phase == "dead"
        self.engine_session.change_to(ResumeRun(id=0, run=str(found.path)))
        self.messages.show_now(f"Opening {found.name}; the current run is saved first.", activity)
        self.repaint()
        if engine_stopped:
            self.run_worker(self.engine_session.follow(restart=True), exit_on_error=True)
        else:
            self.run_worker(self.link.close(), exit_on_error=True)

    # --- saving the configuration ---------------------------------------------------------------

    def action_save_choices(self) -> None:
        if self.need_stack():
            sentence = "Save the current configuration for tl-tui train --config. Which file?"
            self.push_screen(
                TextInput("file", sentence, DEFAULT_CONFIG_FILE, file_error, self.appearance),
                self._save_choices,
            )

    def _save_choices(self, name: str | None) -> None:
        if name is None:
            return
        path = Path(name).expanduser()
        config = current_config(self.engine_session.config, self.run_state)
        if not path.exists():
            self._write_config(config, path)
            return
        question = ChoiceDialog(
            "Overwrite the file?",
            f"{path} already exists.",
            [Choice(("y",), "overwrite it", "yes"), CANCEL],
            self.appearance,
            cursor=1,
        )
        self.push_screen(
            question, lambda answer: self._write_config(config, path) if answer else None
        )

    def _write_config(self, config: RunConfig, path: Path) -> None:
        try:
            config_file.write_config_file(config, path)
        except Problem as problem:
            self.messages.show_now(str(problem))
        else:
            omitted = omitted_settings_text(self.run_state)
            message = f"Saved. tl-tui train --config {path} trains with this configuration."
            self.messages.show_now(f"{message} {omitted}".rstrip())


def folds_error(answer: str) -> str:
    """Return what is wrong with a number of splits; empty if it is valid."""
    if answer.isascii() and answer.isdigit() and 2 <= int(answer[:9]) <= MAX_FOLDS:
        return ""
    return f"Enter a whole number from 2 to {MAX_FOLDS}."


def file_error(answer: str) -> str:
    """Return what is wrong with a file name; empty if it is valid."""
    if not answer:
        return f"Enter a file name, such as {DEFAULT_CONFIG_FILE}."
    path = Path(answer).expanduser()
    if path.is_dir():
        return f"{answer} is a folder. Enter the name of a file in it."
    if not path.parent.is_dir():
        return f"The folder {path.parent} does not exist."
    return ""

"""What comes of training: results, images, the recipe, range test, folds, and layers put back."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar, Protocol

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
from tl_tui.protocol.session import LayerRestored
from tl_tui.protocol.training import Validated
from tl_tui.runs.run_reader import Run
from tl_tui.settings import config_file
from tui.app.config_from_state import caveat, current_config, rates_given_up
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
from tui.text.layer_names import names_of

RUN_FILE = "tl-tui.toml"
FOLDS, MOST_FOLDS = 5, 100


class _Terminal(Protocol):
    @property
    def monochrome(self) -> bool: ...

    @property
    def unicode(self) -> bool: ...


class ResultActions(Overlays):
    """Actions on what was found out; see `Workbench` for what they may use."""

    terminal: _Terminal

    EVENTS: ClassVar[tuple[type, ...]] = (
        Validated,
        ResultsShown,
        ImagesShown,
        LrRangeTested,
        CrossValidationEnded,
        LayerRestored,
    )

    def handle(self, event: AnyEvent) -> None:
        """React to an event of `EVENTS`."""
        match event:
            case Validated(yardstick=False) if isinstance(self.covering, ResultsScreen):
                if not {ShowResults, Evaluate} & set(self.asked.values()):
                    self.ask(ShowResults)
            case ResultsShown():
                self.answered(ShowResults, Evaluate)
            case ImagesShown():
                self.answered(ShowImages)
            case LrRangeTested(done=True):
                self.answered(TestLrRange)
            case CrossValidationEnded():
                self.answered(CrossValidate)
                if not isinstance(self.covering, CrossValidationScreen):
                    self.messages.enqueue(ended_sentence(event))
            case LayerRestored(owners=owners, undone=undone) if self.run_state.stack:
                names = names_of(self.run_state.stack, owners, 3)
                words = "as before" if undone else "as this start began. u takes it back"
                has = "have their weights" if names.plural else "has its weights"
                self.messages.show_now(f"{names.text} {has} {words}.")

    # --- results and images ---------------------------------------------------------------------

    def action_results(self) -> None:
        there = self.run_state.results.results is not None
        if there or self.need_engine():
            self.cover(
                ResultsScreen(
                    self.run_state,
                    self.appearance,
                    evaluate=self._evaluate,
                    pictures=partial(self._show_images, "wrong"),
                )
            )
            self.ask(ShowResults)

    def _evaluate(self) -> bool:
        if ready := self.need_engine():
            self.ask(Evaluate)
        return ready

    def action_images(self) -> None:
        self._show_images("batch")

    def _show_images(self, what: What) -> None:
        if self.need_engine():
            self.cover(
                ImagesScreen(
                    self.run_state,
                    self.appearance,
                    ask=lambda what, side, most: self.ask(
                        ShowImages, selection=what, size=side, limit=most
                    ),
                    pictures=self._no_pictures(),
                    what=what,
                )
            )

    def _no_pictures(self) -> str:
        """Why this terminal can show no pictures; empty if it can."""
        if self.glyphs.plain:
            return "No pictures: this terminal has ASCII only."
        if self.terminal.monochrome:
            return "No pictures: this terminal has no colours."
        if self.console.color_system == "standard":
            return "No pictures: this terminal has 16 colours."
        return ""

    # --- the recipe -----------------------------------------------------------------------------

    def action_recipe(self) -> None:
        if self.need_engine():
            self.cover(RecipeScreen(self.run_state, self.appearance, take=self._set_recipe))

    def _set_recipe(self, recipe: Recipe) -> None:
        lost = rates_given_up(self.run_state, recipe)
        self.engine_session.send(SetRecipe, recipe=recipe)
        said = "It trains with this recipe from the next step on."
        training = self.run_state.training
        if training.plan and training.recipe and recipe.epochs != training.recipe.epochs:
            said += f" The plan {training.plan.name} keeps its own epochs."
        self.messages.show_now(f"{said} {lost}".rstrip())

    def action_range_test(self) -> None:
        if self.need_engine():
            self.cover(
                LrRangeTestScreen(
                    self.run_state,
                    self.appearance,
                    start=partial(self.ask, TestLrRange),
                    stop=self._stop_side_work,
                    take=self._set_recipe,
                )
            )

    def _stop_side_work(self) -> None:
        if self.run_state.phase == "ready":
            self.engine_session.send(Pause)
            self.run_state.busy = None  # if it is not done, it says so within a second

    # --- folds ----------------------------------------------------------------------------------

    def action_folds(self) -> None:
        findings = self.run_state.results
        if findings.folds or findings.fold:
            self._show_folds(None)
        elif self.need_engine():
            self._ask_folds()

    def _ask_folds(self) -> None:
        sentence = (
            "Cross-validation: every image is validated once, by a model trained on the other "
            "splits from the session's start. How many splits?"
        )
        value = str(self.engine_session.config.folds or FOLDS)
        self.push_screen(
            TextInput("splits", sentence, value, wrong_with_folds, self.appearance),
            self._cross_validate,
        )

    def _cross_validate(self, answer: str | None) -> None:
        if answer is not None and self.need_engine():
            self._show_folds(int(answer))
            self.ask(CrossValidate, folds=int(answer))

    def _show_folds(self, folds: int | None) -> None:
        self.cover(
            CrossValidationScreen(
                self.run_state,
                self.appearance,
                folds=folds,
                stop=self._stop_side_work,
                again=self._ask_folds,
            )
        )

    # --- starts and layers ----------------------------------------------------------------------

    def action_new_start(self) -> None:
        if self.need_engine():
            self.push_screen(NewStartDialog(self.run_state, self.appearance), self._start_anew)

    def _start_anew(self, weights: str | None) -> None:
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
            f"{names.text}: weights and buffers as this start began; everything else stays as it "
            "is. u takes it back until the next step.",
            [Choice(("y",), "return it", "yes"), Choice(("escape", "n"), "leave it", "")],
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
            where = f"The runs are on {self.link.host}"
            self.messages.show_now(f"{where}; tl-tui runs there lists them.")
            return
        own = self.run_state.session.run_dir if self.run_state.session else ""
        self.cover(RunsScreen(self.run_state, self.appearance, own=own, go_on=self._go_on))

    def _go_on(self, run: Run) -> None:
        gone = self.run_state.phase == "dead"
        self.engine_session.change_to(ResumeRun(id=0, run=str(run.path)))
        self.messages.show_now(f"{run.name} is being opened; the run before is saved.")
        self.repaint()
        if gone:
            self.run_worker(self.engine_session.follow(restart=True), exit_on_error=True)
        else:
            self.run_worker(self.link.close(), exit_on_error=True)

    # --- the choices as a file ------------------------------------------------------------------

    def action_save_choices(self) -> None:
        if self.need_stack():
            sentence = "The choices as they are now, for tl-tui train --config. Which file?"
            self.push_screen(
                TextInput("file", sentence, RUN_FILE, wrong_with_file, self.appearance),
                self._save_choices,
            )

    def _save_choices(self, name: str | None) -> None:
        if name is None:
            return
        path = Path(name).expanduser()
        config = current_config(self.engine_session.config, self.run_state)
        if not path.exists():
            self._write(config, path)
            return
        question = ChoiceDialog(
            "Write over it?",
            f"{path} is there already.",
            [Choice(("y",), "write over it", "yes"), Choice(("escape", "n"), "leave it", "")],
            self.appearance,
            cursor=1,
        )
        self.push_screen(question, lambda answer: self._write(config, path) if answer else None)

    def _write(self, config: RunConfig, path: Path) -> None:
        try:
            config_file.write_config_file(config, path)
        except Problem as problem:
            self.messages.show_now(str(problem))
        else:
            but = caveat(self.run_state)
            said = f"Saved: tl-tui train --config {path} trains like this."
            self.messages.show_now(f"{said} {but}".rstrip())


def wrong_with_folds(answer: str) -> str:
    """What is wrong with a number of splits; empty if nothing is."""
    if answer.isascii() and answer.isdigit() and 2 <= int(answer[:9]) <= MOST_FOLDS:
        return ""
    return f"It must be a whole number from 2 to {MOST_FOLDS}."


def wrong_with_file(answer: str) -> str:
    """What is wrong with a file's name; empty if nothing is."""
    if not answer:
        return f"It needs a name, such as {RUN_FILE}."
    path = Path(answer).expanduser()
    if path.is_dir():
        return f"{answer} is a folder; name a file in it."
    if not path.parent.is_dir():
        return f"There is no folder {path.parent}."
    return ""

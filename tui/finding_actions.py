"""What comes of training: results, images, the recipe, range test, folds, and layers put back."""

from __future__ import annotations

from typing import Protocol

from engine.protocol import (
    AnyEvent,
    Evaluate,
    ImagesShown,
    Refused,
    ResultsShown,
    RunConfig,
    ShowImages,
    ShowResults,
    Validated,
)
from tui.engine_link import EngineLink
from tui.notices import Notices
from tui.pace import Pace
from tui.screens.images import ImagesScreen, What
from tui.screens.results import ResultsScreen
from tui.screens.whole import WholeScreen
from tui.workbench import FRAME, Workbench


class _Terminal(Protocol):
    @property
    def monochrome(self) -> bool: ...

    @property
    def unicode(self) -> bool: ...


class FindingActions(Workbench):
    """Actions on what was found out; see `Workbench` for what they may use."""

    terminal: _Terminal

    def __init__(self, link: EngineLink, config: RunConfig, *, unicode: bool) -> None:
        super().__init__(link, config, unicode=unicode)
        self.notices = Notices(self, self._say)
        self._paint_covering = Pace(self, FRAME, self._show_covering)
        self._asked: dict[int, str] = {}
        """What the screen that is open waits for, by the command's id."""

    # --- a whole screen over the main one -------------------------------------------------------

    @property
    def covering(self) -> WholeScreen | None:
        """The screen that covers the main one, if one does."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, WholeScreen)), None)

    def cover(self, screen: WholeScreen) -> None:
        """Show a whole screen; the main one is drawn again when it is closed."""
        self.push_screen(screen, lambda _: self.call_next(self._uncovered))

    def _uncovered(self) -> None:
        self._say("")
        self.repaint()

    def _say(self, sentence: str) -> None:
        if covering := self.covering:
            covering.say(sentence)
        else:
            self.main.say(sentence)

    def repaint(self, *, now: bool = True) -> None:
        # What is covered is not drawn: every cell it changed would be sent again, unchanged.
        if self.covering is None:
            super().repaint(now=now)
        else:
            self._paint_covering.now() if now else self._paint_covering.soon()

    def _show_covering(self) -> None:
        if covering := self.covering:
            if (covering.palette, covering.glyphs) != self.look:
                covering.dress(*self.look)
            covering.show(self.run_state)

    def heard(self, event: AnyEvent | None) -> None:
        covering = self.covering
        match event:
            case Refused(id=refused) if refused in self._asked:
                if self._asked.pop(refused) == "images" and isinstance(covering, ImagesScreen):
                    covering.refused()
            case Validated(yardstick=False) if isinstance(covering, ResultsScreen):
                if "results" not in self._asked.values():
                    self._ask_results()
            case ResultsShown():
                self._forget("results")
            case ImagesShown():
                self._forget("images")
        super().heard(event)

    def _forget(self, what: str) -> None:
        self._asked = {id: asked for id, asked in self._asked.items() if asked != what}

    # --- results and images ---------------------------------------------------------------------

    def action_results(self) -> None:
        there = self.run_state.findings.results is not None
        if not there and not self.need_engine():
            return
        self.cover(
            ResultsScreen(
                self.run_state, self.look, evaluate=self._evaluate, pictures=self._show_wrong
            )
        )
        if self.run_state.phase == "ready":
            self._ask_results()

    def _ask_results(self) -> None:
        self._asked[self.dialogue.send(ShowResults)] = "results"

    def _evaluate(self) -> bool:
        if not self.need_engine():
            return False
        self._asked[self.dialogue.send(Evaluate)] = "results"
        return True

    def action_images(self) -> None:
        self._show_images("batch")

    def _show_wrong(self) -> None:
        self._show_images("wrong")

    def _show_images(self, what: What) -> None:
        if self.need_engine():
            self.cover(
                ImagesScreen(
                    self.run_state,
                    self.look,
                    ask=self._ask_images,
                    pictures=self._no_pictures(),
                    what=what,
                )
            )

    def _ask_images(self, what: What, side: int, most: int) -> None:
        if self.run_state.phase == "ready":
            number = self.dialogue.send(ShowImages, what=what, side=side, most=most)
            self._asked[number] = "images"

    def _no_pictures(self) -> str:
        """Why this terminal can show no pictures; empty if it can."""
        if self.glyphs.plain:
            return "No pictures: this terminal has ASCII only."
        if self.terminal.monochrome:
            return "No pictures: this terminal has no colours."
        if self.console.color_system == "standard":
            return "No pictures: this terminal has 16 colours."
        return ""

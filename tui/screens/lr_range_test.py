"""The screen of the learning-rate range test: its curve and the proposed rate."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tl_tui.protocol.checks import LrRangeTested
from tl_tui.protocol.config import Recipe
from tui.drawing.lines import Line, line, wrapped
from tui.drawing.lr_range_curve import lr_range_curve
from tui.drawing.theme import Glyphs, Palette
from tui.screens.full_screen import Body, FullScreen, body
from tui.state.run_state import RunState
from tui.text.format import format_short


class LrRangeTestScreen(FullScreen):
    """The screen of a range test; Enter applies its proposal, p or closing the screen stops it."""

    title_text = "learning-rate range test"

    def __init__(
        self,
        state: RunState,
        appearance: tuple[Palette, Glyphs],
        *,
        start: Callable[[], None],
        stop: Callable[[], None],
        apply: Callable[[Recipe], None],
    ) -> None:
        """
        Args:
            state: The state of the run.
            appearance: Colours and characters.
            start: Starts the test.
            stop: Stops the test.
            apply: Sets the recipe to train with.
        """
        self._start, self._stop, self._apply = start, stop, apply
        self._previous = state.results.range_test
        """The result of an earlier test, which is not shown."""
        self._refused = False
        self.stopped = False
        super().__init__(state, appearance)

    @property
    def tested(self) -> LrRangeTested | None:
        """The points and the result of this test so far."""
        tested = self.state.results.range_test
        return None if tested is self._previous else tested

    @property
    def proposal(self) -> float | None:
        """The proposed learning rate of the head."""
        return self.tested.proposal if self.tested else None

    @property
    def active(self) -> bool:
        """Whether the test is running."""
        done = self.tested is not None and self.tested.done
        return not (done or self.stopped or self._refused or self.state.phase == "dead")

    def on_mount(self) -> None:
        super().on_mount()
        self._start()

    def refused(self) -> None:
        self._refused = True

    def subject(self, state: RunState) -> str:
        return "on a copy: the model does not change" if self.drawing.size.width >= 80 else ""

    def content(self, state: RunState, width: int, height: int) -> Body:
        tested = self.tested
        text = [line(f"  {part}") for part in wrapped(self._status_text(), width - 4, 5)]
        points = tested.points if tested else ()
        room = height - len(text) - 2
        if room < 4:
            return body(text)
        plain = self.glyphs.plain
        curve = lr_range_curve(
            points, self.proposal, width, room, plain=plain, format_value=format_short
        )
        heading: Line = line(
            ("  loss", "text"), (" (smoothed) over the head's learning rate", "dim")
        )
        return body([heading, *curve, (), *text])

    def _status_text(self) -> str:
        tested, recipe = self.tested, self.state.training.recipe
        steps = len(tested.points) if tested else 0
        if self._refused:
            return "The test was not started. r starts it again, Esc goes back."
        if tested is not None and tested.done:
            if tested.proposal is None or recipe is None:
                return tested.reason or "The test proposes no learning rate."
            pretrained = scaled_recipe(recipe, tested.proposal).lr_pretrained
            return (
                f"{tested.reason} Proposed: {tested.proposal:g} for the head instead of "
                f"{recipe.lr_head:g}, and {pretrained:.2g} for the pretrained layers. "
                "Press Enter to apply it."
            )
        if self.state.phase == "dead":
            return "The engine has stopped. The test did not change the run."
        if self.stopped:
            return f"Stopped after {steps} steps, without a proposal."
        return (
            f"{steps} steps. The learning rate of every layer grows by the same factor at each "
            "step, until the loss explodes."
        )

    def keys(self) -> list[tuple[str, str]]:
        if self.proposal is not None:
            return [("Enter", "apply"), ("r", "again")]
        return [("p", "stop")] if self.active else [("r", "again")]

    def pressed(self, key: str) -> bool:
        recipe, proposal = self.state.training.recipe, self.proposal
        if key == "enter" and proposal is not None and recipe is not None:
            self._apply(scaled_recipe(recipe, proposal))
            self.dismiss(None)
        elif key == "p" and self.active:
            self.stopped = True
            self._stop()
            self.redraw()
        elif key == "r" and not self.active:
            self._previous, self.stopped, self._refused = (
                self.state.results.range_test,
                False,
                False,
            )
            self._start()
            self.redraw()
        elif key in ("escape", "q"):
            if self.active:
                self._stop()
            self.dismiss(None)
        else:
            return key == "enter"
        return True


def scaled_recipe(recipe: Recipe, lr_head: float) -> Recipe:
    """Return the recipe with another rate for the head and a proportional one for the others."""
    ratio = recipe.lr_pretrained / recipe.lr_head if recipe.lr_head else 0.1
    pretrained = float(f"{lr_head * ratio:.3g}")
    return msgspec.structs.replace(recipe, lr_head=lr_head, lr_pretrained=pretrained)

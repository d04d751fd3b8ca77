"""The learning-rate range test: its curve as it grows, and what it proposes."""

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


class LrRangeTestScreen(FullScreen):
    """Enter takes the proposal; leaving, or p, stops the test."""

    name_shown = "learning-rate range test"

    def __init__(
        self,
        state: RunState,
        appearance: tuple[Palette, Glyphs],
        *,
        start: Callable[[], None],
        stop: Callable[[], None],
        take: Callable[[Recipe], None],
    ) -> None:
        """
        Args:
            state: What is known.
            appearance: Colours and characters.
            start: Has the engine run the test.
            stop: Has it end what it does.
            take: Trains with this recipe from now on.
        """
        self._start, self._stop, self._take = start, stop, take
        self._before = state.results.range_test
        self._refused = False
        self.stopped = False
        super().__init__(state, appearance)

    @property
    def tested(self) -> LrRangeTested | None:
        """The test of this screen, as far as it came; not one from before."""
        found = self.state.results.range_test
        return None if found is self._before else found

    @property
    def proposal(self) -> float | None:
        return self.tested.proposal if self.tested else None

    @property
    def going(self) -> bool:
        """The engine is at it."""
        done = self.tested is not None and self.tested.done
        return not (done or self.stopped or self._refused or self.state.phase == "dead")

    def on_mount(self) -> None:
        super().on_mount()
        self._start()

    def refused(self) -> None:
        """The engine does not do it; the notice says why."""
        self._refused = True

    def subject(self, state: RunState) -> str:
        return "on a copy: nothing is changed" if self.drawing.size.width >= 80 else ""

    def content(self, state: RunState, width: int, height: int) -> Body:
        tested = self.tested
        words = [line(f"  {part}") for part in wrapped(self._words(), width - 4, 5)]
        points = tested.points if tested else ()
        room = height - len(words) - 2
        if room < 4:
            return body(words)
        curve = lr_range_curve(points, self.proposal, width, room, plain=self.glyphs.plain)
        head: Line = line(("  loss", "text"), (" (smoothed) over the head's learning rate", "dim"))
        return body([head, *curve, (), *words])

    def _words(self) -> str:
        tested, recipe = self.tested, self.state.training.recipe
        steps = len(tested.points) if tested else 0
        if self._refused:
            return "The test was not begun."
        if tested is not None and tested.done:
            if tested.proposal is None or recipe is None:
                return tested.reason or "The test proposes nothing."
            pretrained = scaled(recipe, tested.proposal).lr_pretrained
            return (
                f"{tested.reason} Proposed: {tested.proposal:g} for the head instead of "
                f"{recipe.lr_head:g}, and {pretrained:.2g} for the pretrained layers. "
                "Enter takes it."
            )
        if self.state.phase == "dead":
            return "The engine is gone; nothing of the run was changed by the test."
        if self.stopped:
            return f"Stopped after {steps} steps; nothing is proposed."
        return (
            f"{steps} steps. The rate grows with every step until the loss explodes; "
            "every layer's grows in its proportion to the head's."
        )

    def keys(self) -> list[tuple[str, str]]:
        if self.proposal is not None:
            return [("Enter", "take it"), ("r", "again")]
        return [("p", "stop")] if self.going else [("r", "again")]

    def pressed(self, key: str) -> bool:
        recipe, proposal = self.state.training.recipe, self.proposal
        if key == "enter" and proposal is not None and recipe is not None:
            self._take(scaled(recipe, proposal))
            self.dismiss(None)
        elif key == "p" and self.going:
            self.stopped = True
            self._stop()
            self.redraw()
        elif key == "r" and not self.going:
            self._before, self.stopped, self._refused = self.state.results.range_test, False, False
            self._start()
            self.redraw()
        elif key in ("escape", "q"):
            if self.going:
                self._stop()
            self.dismiss(None)
        else:
            return key == "enter"
        return True


def scaled(recipe: Recipe, lr_head: float) -> Recipe:
    """The recipe with another rate for the head, the pretrained layers' in the same proportion."""
    share = recipe.lr_pretrained / recipe.lr_head if recipe.lr_head else 0.1
    pretrained = float(f"{lr_head * share:.3g}")
    return msgspec.structs.replace(recipe, lr_head=lr_head, lr_pretrained=pretrained)

"""Cross-validation: every split as it comes, and what they say together."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from tl_tui.common.metrics import accuracy_words, balanced_accuracy, share_words
from tl_tui.protocol.checks import CrossValidationEnded, FoldValidated
from tui.drawing.lines import Line, line, line_width, wrapped
from tui.drawing.sanitize import padded
from tui.drawing.theme import Glyphs, Palette
from tui.screens.full_screen import Body, FullScreen, body
from tui.screens.results.interval_line import interval_line
from tui.state.run_state import RunState

WORDS = 31
"""Cells of `1,000 of 1,000, .89 (.80 to .94)` in most cases."""
ABOUT = 20
"""Cells for steps and seconds."""


class CrossValidationScreen(FullScreen):
    """Leaving it lets the engine go on; p stops."""

    name_shown = "cross-validation"

    def __init__(
        self,
        state: RunState,
        appearance: tuple[Palette, Glyphs],
        *,
        folds: int | None,
        stop: Callable[[], None],
        again: Callable[[], None],
    ) -> None:
        """
        Args:
            state: What is known.
            appearance: Colours and characters.
            folds: How many splits were just asked for; None shows what is there.
            stop: Has the engine end what it does.
            again: Asks for the number of splits and begins.
        """
        self.asked, self._stop, self._again = folds, stop, again
        fresh = folds is not None
        self._before: tuple[object, object] = (
            (state.results.folds, state.results.folds_ended) if fresh else (None, None)
        )
        self._refused = self.stopped = False
        super().__init__(state, appearance)

    @property
    def folds(self) -> list[FoldValidated]:
        found = self.state.results.folds
        return [] if found is self._before[0] else found

    @property
    def ended(self) -> CrossValidationEnded | None:
        found = self.state.results.folds_ended
        return None if found is self._before[1] else found

    @property
    def going(self) -> bool:
        over = self.ended is not None or self._refused or self.stopped
        return not over and self.state.phase != "dead"

    @property
    def count(self) -> int:
        """Splits in all."""
        if self.folds:
            return self.folds[0].folds
        fold = self.state.results.fold
        return fold.folds if fold else self.asked or 0

    def refused(self) -> None:
        """The engine does not do it; the notice says why."""
        self._refused = True

    def aside(self, state: RunState) -> str:
        return f"{len(self.folds)} of {self.count} folds" if self.count else ""

    def heading(self, state: RunState, width: int) -> list[Line]:
        return [()]

    def content(self, state: RunState, width: int, height: int) -> Body:
        lines = [self._fold(fold, width) for fold in self.folds]
        number = len(self.folds) + 1
        if self.going and number <= self.count:
            fold = state.results.fold
            trains = "trains from the session's start"
            if fold is not None and fold.fold == number:
                trains += f", step {fold.step:,} of {fold.steps:,}"
            lines.append(line((f"  {number:>3}  {trains}", "dim")))
        summary = [
            line(f"  {part}") for text in self._summary() for part in wrapped(text, width - 4, 4)
        ]
        whole = [*lines, (), *self._line_of_all(width), *summary]
        return body(whole)

    def _fold(self, fold: FoldValidated, width: int) -> Line:
        text = accuracy_words(fold.correct, fold.total)
        words = WORDS if width >= 60 else max(10, width - 8)
        lead = line(f"  {fold.fold:>3}  {padded(text, words)}")
        if width < 60:
            return lead
        about = f"{fold.steps:,} steps {fold.seconds:>5.0f} s "
        bar = max(10, width - line_width(lead) - max(ABOUT, len(about)) - 2)
        drawn = interval_line(fold.correct, fold.total, bar, self.glyphs)
        return (*lead, (" ", "text"), *drawn, (padded(about, ABOUT, right=True), "dim"))

    def _line_of_all(self, width: int) -> list[Line]:
        right, total = self._sums()
        if not total or width < 60:
            return []
        lead = line(("  all  ", "strong"), padded(accuracy_words(right, total), WORDS))
        bar = max(10, width - line_width(lead) - ABOUT - 2)
        drawn = interval_line(right, total, bar, self.glyphs)
        return [(*lead, (" ", "text"), *drawn), ()]

    def _cached(self) -> str:
        rows = {fold.cached for fold in self.folds if fold.cached}
        if not rows:
            return ""
        names = self.glyphs.text(", ".join(sorted(rows)))
        return f"Features cached at {names} stand in for the frozen layers before it."

    def _sums(self) -> tuple[int, int]:
        return sum(f.correct for f in self.folds), sum(f.total for f in self.folds)

    def _summary(self) -> list[str]:
        if self._refused:
            return ["It was not begun."]
        if not self.folds:
            if self.ended is not None:
                return [ended_sentence(self.ended)]
            if self.stopped:
                return ["Stopped before the first fold was done."]
            return ["Each split trains anew on all images but its own, and is validated on those."]
        right, total = self._sums()
        shares = [fold.correct / fold.total for fold in self.folds if fold.total]
        said = [
            f"{'All images once' if self._whole else 'So far'}: {accuracy_words(right, total)}."
        ]
        if len(shares) > 1:
            said.append(
                f"Mean of the folds {share_words(statistics.mean(shares))}, from "
                f"{share_words(min(shares))} to {share_words(max(shares))}, standard deviation "
                f"{statistics.stdev(shares):.3f}."
            )
        classes = zip(*(fold.per_class for fold in self.folds), strict=True)
        sums = [(sum(r for r, _ in one), sum(t for _, t in one)) for one in classes]
        if sums:
            said.append(f"Balanced over the classes: {share_words(balanced_accuracy(sums))}.")
        if cached := self._cached():
            said.append(cached)
        if self.ended is not None and self.ended.reason != "done":
            said.append(ended_sentence(self.ended))
        elif self.stopped and self.ended is None:
            said.append(f"Stopped after {len(self.folds)} of {self.count} folds.")
        elif self.state.phase == "dead" and self.ended is None:
            said.append("The engine is gone before it was done.")
        return said

    @property
    def _whole(self) -> bool:
        return bool(self.folds) and len(self.folds) == self.count

    def keys(self) -> list[tuple[str, str]]:
        if self.going:
            return [("p", "stop")]
        return [("r", "again")]

    def pressed(self, key: str) -> bool:
        if key == "p" and self.going:
            self.stopped = True
            self._stop()
            self.redraw()
        elif key == "r" and not self.going:
            self.dismiss(None)
            self._again()
        else:
            return False
        return True


def ended_sentence(ended: CrossValidationEnded) -> str:
    """What came of it, in a sentence."""
    if ended.reason == "failed":
        return "Cross-validation failed; what it had is kept."
    accuracy = accuracy_words(ended.correct, ended.total) if ended.total else "no fold was done"
    lead = "Stopped early" if ended.reason == "paused" else "Cross-validation"
    return f"{lead}: {accuracy}."

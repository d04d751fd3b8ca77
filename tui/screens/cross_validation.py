"""The cross-validation screen: the accuracy of each fold, and of all folds together."""

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

ACCURACY_COLUMN = 31
"""The width of the accuracy column, in cells: `1,000 of 1,000, .89 (.80 to .94)`."""
TIME_COLUMN = 20
"""The width of the column with steps and seconds, in cells."""


class CrossValidationScreen(FullScreen):
    """The screen of a cross-validation; it continues when the screen is closed, p stops it."""

    title_text = "cross-validation"

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
            state: The state of the run.
            appearance: Colours and characters.
            folds: The number of splits that was just requested; None to show an earlier
                cross-validation.
            stop: Stops the cross-validation.
            again: Asks for the number of splits and begins another one.
        """
        self.requested, self._stop, self._again = folds, stop, again
        self._previous: tuple[object, object] = (None, None)
        """The results of the cross-validation before the requested one, which are not shown."""
        if folds is not None:
            self._previous = (state.results.folds, state.results.folds_ended)
        self._refused = self.stopped = False
        super().__init__(state, appearance)

    @property
    def folds(self) -> list[FoldValidated]:
        """The folds that are done."""
        folds = self.state.results.folds
        return [] if folds is self._previous[0] else folds

    @property
    def ended(self) -> CrossValidationEnded | None:
        """The result of all folds, once the cross-validation has ended."""
        ended = self.state.results.folds_ended
        return None if ended is self._previous[1] else ended

    @property
    def active(self) -> bool:
        """Whether the cross-validation is running."""
        over = self.ended is not None or self._refused or self.stopped
        return not over and self.state.phase != "dead"

    @property
    def count(self) -> int:
        """The number of splits."""
        if self.folds:
            return self.folds[0].folds
        fold = self.state.results.fold
        return fold.folds if fold else self.requested or 0

    def refused(self) -> None:
        self._refused = True

    def summary_text(self, state: RunState) -> str:
        return f"{len(self.folds)} of {self.count} folds" if self.count else ""

    def heading(self, state: RunState, width: int) -> list[Line]:
        return [()]

    def content(self, state: RunState, width: int, height: int) -> Body:
        lines = [self._fold(fold, width) for fold in self.folds]
        number = len(self.folds) + 1
        if self.active and number <= self.count:
            fold = state.results.fold
            status = "training from the initial weights"
            if fold is not None and fold.fold == number:
                status += f", step {fold.step:,} of {fold.steps:,}"
            lines.append(line((f"  {number:>3}  {status}", "dim")))
        summary = [
            line(f"  {part}") for text in self._summary() for part in wrapped(text, width - 4, 4)
        ]
        return body([*lines, (), *self._total_lines(width), *summary])

    def _fold(self, fold: FoldValidated, width: int) -> Line:
        text = accuracy_words(fold.correct, fold.total)
        column = ACCURACY_COLUMN if width >= 60 else max(10, width - 8)
        lead = line(f"  {fold.fold:>3}  {padded(text, column)}")
        if width < 60:
            return lead
        time_text = f"{fold.steps:,} steps {fold.seconds:>5.0f} s "
        bar = max(10, width - line_width(lead) - max(TIME_COLUMN, len(time_text)) - 2)
        drawn = interval_line(fold.correct, fold.total, bar, self.glyphs)
        return (*lead, (" ", "text"), *drawn, (padded(time_text, TIME_COLUMN, right=True), "dim"))

    def _total_lines(self, width: int) -> list[Line]:
        correct, total = self._sums()
        if not total or width < 60:
            return []
        lead = line(("  all  ", "strong"), padded(accuracy_words(correct, total), ACCURACY_COLUMN))
        bar = max(10, width - line_width(lead) - TIME_COLUMN - 2)
        drawn = interval_line(correct, total, bar, self.glyphs)
        return [(*lead, (" ", "text"), *drawn), ()]

    def _cache_sentence(self) -> str:
        rows = {fold.cached for fold in self.folds if fold.cached}
        if not rows:
            return ""
        names = self.glyphs.text(", ".join(sorted(rows)))
        return f"Cached features replaced the frozen layers before {names}."

    def _sums(self) -> tuple[int, int]:
        return sum(f.correct for f in self.folds), sum(f.total for f in self.folds)

    def _summary(self) -> list[str]:
        if self._refused:
            return ["The cross-validation was not started. r asks again, Esc goes back."]
        if not self.folds:
            if self.ended is not None:
                return [ended_sentence(self.ended)]
            if self.stopped:
                return ["Stopped before the first fold was finished."]
            return [
                "For each split, a model trains on all other images and is validated on this split."
            ]
        correct, total = self._sums()
        shares = [fold.correct / fold.total for fold in self.folds if fold.total]
        scope = "Every image once" if self._complete else "So far"
        sentences = [f"{scope}: {accuracy_words(correct, total)}."]
        if len(shares) > 1:
            sentences.append(
                f"Mean of the folds {share_words(statistics.mean(shares))}, from "
                f"{share_words(min(shares))} to {share_words(max(shares))}, standard deviation "
                f"{statistics.stdev(shares):.3f}."
            )
        classes = zip(*(fold.per_class for fold in self.folds), strict=True)
        sums = [(sum(r for r, _ in counts), sum(t for _, t in counts)) for counts in classes]
        if sums:
            sentences.append(f"Balanced over the classes: {share_words(balanced_accuracy(sums))}.")
        if cached := self._cache_sentence():
            sentences.append(cached)
        if self.ended is not None and self.ended.reason != "done":
            sentences.append(ended_sentence(self.ended))
        elif self.stopped and self.ended is None:
            sentences.append(f"Stopped after {len(self.folds)} of {self.count} folds.")
        elif self.state.phase == "dead" and self.ended is None:
            sentences.append("The engine stopped before the cross-validation was finished.")
        return sentences

    @property
    def _complete(self) -> bool:
        return bool(self.folds) and len(self.folds) == self.count

    def keys(self) -> list[tuple[str, str]]:
        if self.active:
            return [("p", "stop")]
        return [("r", "again")]

    def pressed(self, key: str) -> bool:
        if key == "p" and self.active:
            self.stopped = True
            self._stop()
            self.redraw()
        elif key == "r" and not self.active:
            self.dismiss(None)
            self._again()
        else:
            return False
        return True


def ended_sentence(ended: CrossValidationEnded) -> str:
    """Return a sentence with the result of a cross-validation."""
    if ended.reason == "failed":
        return "The cross-validation failed; the finished folds are kept."
    accuracy = accuracy_words(ended.correct, ended.total) if ended.total else "no fold finished"
    prefix = "Stopped early" if ended.reason == "paused" else "Cross-validation"
    return f"{prefix}: {accuracy}."

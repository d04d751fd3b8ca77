"""What the accuracy is worth: chance, the majority class, and earlier results beside it."""

from __future__ import annotations

from tl_tui.common.metrics import accuracy_words, balanced_accuracy, comparison_words, share_words
from tl_tui.protocol.results import Comparison
from tui.drawing.lines import Line, line, wrapped
from tui.drawing.sanitize import padded
from tui.screens.full_screen import Body, body
from tui.screens.results.curves import Curves
from tui.screens.results.section import Section

LABEL = 11
"""Cells of the first column."""
ROOM_FOR_CURVES = 15
"""Lines that are left over, from which on the curves stand here too."""


class Summary(Section):
    title = "summary"

    def __init__(self) -> None:
        self._curves = Curves()

    def body(self, width: int, height: int) -> Body:
        lines: list[Line] = []
        for label, text in self._facts():
            for number, part in enumerate(wrapped(text, width - LABEL - 4, 3)):
                lead = padded(label if number == 0 else "", LABEL)
                lines.append(line((f"  {lead} ", "dim"), part))
        lines += [(), *self._comparisons(width)]
        rest = height - len(lines) - 1
        if rest >= ROOM_FOR_CURVES:
            self._curves.take(self.results, self.state, self.glyphs)
            lines += [(), *self._curves.lines(width, rest)]
        return body(lines)

    def _facts(self) -> list[tuple[str, str]]:
        results, session = self.results, self.state.session
        assert session is not None
        with_images = sum(total > 0 for _, total in results.per_class)
        mean = share_words(balanced_accuracy(results.per_class))
        facts = [
            (
                "balanced",
                f"{mean}, the mean of {with_images:,} "
                f"{'class' if with_images == 1 else 'classes, each counted alike'}",
            ),
            (
                "chance",
                f"{_small(1 / max(1, len(session.classes)))}, guessing among "
                f"{len(session.classes):,} classes alike",
            ),
        ]
        if results.total:
            totals = [total for _, total in results.per_class]
            right = max(totals, default=0)
            majority = self.name(totals.index(right) if totals else session.majority_class)
            facts.append(
                (
                    "majority",
                    f"{_small(right / results.total)} ({right:,} of {results.total:,}), "
                    f"always saying {majority}",
                )
            )
        facts.append(("loss", f"{results.loss:.3g}, the mean over the validation images"))
        best = self.state.results.best
        if best is not None and best.total:
            facts.append(
                (
                    "best",
                    f"{best.correct:,} of {best.total:,}, "
                    f"{share_words(best.correct / best.total)}, in start {best.start} "
                    f"after step {best.step:,}",
                )
            )
        if self.state.skipped_images:
            facts.append(("skipped", f"{self.state.skipped_images:,} images could not be read"))
        return facts

    def _comparisons(self, width: int) -> list[Line]:
        if not self.results.comparisons:
            text = "Later results on the same images are compared with this one, image by image."
            return [line((f"  {part}", "dim")) for part in wrapped(text, width - 4, 3)]
        lines: list[Line] = [line(("  Beside earlier results on the same images", "strong"))]
        for one in self.results.comparisons:
            lines += self._comparison(one, width)
        text = (
            "Counted: images that only this one has right, against those that only the other "
            "has. p: how often chance alone parts two equally good results so far (McNemar)."
        )
        lines += [(), *[line((f"  {part}", "dim")) for part in wrapped(text, width - 4, 4)]]
        return lines

    def _comparison(self, one: Comparison, width: int) -> list[Line]:
        words = comparison_words(one.only_this, one.only_other)
        other = self.glyphs.text(one.other)
        accuracy = accuracy_words(one.other_correct, one.other_total)
        if width >= 100:
            return [line(f"  {padded(other, 22)} ", (f"{padded(accuracy, 34)} ", "dim"), words)]
        return [line(f"  {other}", (f"  {accuracy}", "dim")), line(f"    {words}")]


def _small(share: float) -> str:
    """A share of which two digits may be nothing, such as `.001` for one of a thousand classes."""
    return share_words(share) if share >= 0.01 or not share else f"{share:.1g}".lstrip("0")

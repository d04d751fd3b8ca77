"""The accuracy compared with chance, the majority class and earlier results."""

from __future__ import annotations

from tl_tui.common.metrics import accuracy_words, balanced_accuracy, comparison_words, share_words
from tl_tui.protocol.results import Comparison
from tui.drawing.lines import Line, line, wrapped
from tui.drawing.sanitize import padded
from tui.screens.full_screen import Body, body
from tui.screens.results.curves import Curves
from tui.screens.results.section import Section

LABEL_WIDTH = 11
"""The width of the first column, in cells."""
MIN_CURVE_LINES = 15
"""The fewest free lines in which the curves are shown as well."""


class Summary(Section):
    """Balanced accuracy, chance, majority, loss, best accuracy, and comparisons."""

    title = "summary"

    def __init__(self) -> None:
        self._curves = Curves()

    def body(self, width: int, height: int) -> Body:
        lines: list[Line] = []
        for label, text in self._facts():
            for number, part in enumerate(wrapped(text, width - LABEL_WIDTH - 4, 3)):
                first = padded(label if number == 0 else "", LABEL_WIDTH)
                lines.append(line((f"  {first} ", "dim"), part))
        lines += [(), *self._comparisons(width)]
        room = height - len(lines) - 1
        if room >= MIN_CURVE_LINES:
            self._curves.set_results(self.results, self.state, self.glyphs)
            lines += [(), *self._curves.lines(width, room)]
        return body(lines)

    def _facts(self) -> list[tuple[str, str]]:
        results, session = self.results, self.state.session
        assert session is not None
        with_images = sum(total > 0 for _, total in results.per_class)
        mean = share_words(balanced_accuracy(results.per_class))
        facts = [
            (
                "balanced",
                f"{mean}, the mean over {with_images:,} "
                f"{'class' if with_images == 1 else 'classes with equal weight'}",
            ),
            (
                "chance",
                f"{_share(1 / max(1, len(session.classes)))}, random guessing among "
                f"{len(session.classes):,} classes",
            ),
        ]
        if results.total:
            totals = [total for _, total in results.per_class]
            largest = max(totals, default=0)
            majority = self.name(totals.index(largest) if totals else session.majority_class)
            facts.append(
                (
                    "majority",
                    f"{_share(largest / results.total)} ({largest:,} of {results.total:,}), "
                    f"always predicting {majority}",
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
            text = (
                "Later results on the same images will be compared with this one, image by image."
            )
            return [line((f"  {part}", "dim")) for part in wrapped(text, width - 4, 3)]
        lines: list[Line] = [line(("  Compared with earlier results on the same images", "strong"))]
        for comparison in self.results.comparisons:
            lines += self._comparison(comparison, width)
        text = (
            "Counts: images that only this result has right, against those that only the other has "
            "right. p: the probability of a difference this large by chance (McNemar's test)."
        )
        lines += [(), *[line((f"  {part}", "dim")) for part in wrapped(text, width - 4, 4)]]
        return lines

    def _comparison(self, comparison: Comparison, width: int) -> list[Line]:
        text = comparison_words(comparison.only_this, comparison.only_other)
        other = self.glyphs.text(comparison.other)
        accuracy = accuracy_words(comparison.other_correct, comparison.other_total)
        if width >= 100:
            return [line(f"  {padded(other, 22)} ", (f"{padded(accuracy, 34)} ", "dim"), text)]
        return [line(f"  {other}", (f"  {accuracy}", "dim")), line(f"    {text}")]


def _share(share: float) -> str:
    """Return a share with enough digits not to be zero, such as `.001` for one of 1,000 classes."""
    return share_words(share) if share >= 0.01 or not share else f"{share:.1g}".lstrip("0")

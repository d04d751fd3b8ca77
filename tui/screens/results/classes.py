"""The accuracy of every class with its interval, its precision and its F1."""

from __future__ import annotations

from rich.cells import cell_len

from tl_tui.common.metrics import accuracy_words
from tui.drawing.lines import Line, line
from tui.drawing.sanitize import padded
from tui.screens.full_screen import Body
from tui.screens.results.interval_line import interval_line
from tui.screens.results.section import Section
from tui.text.measures import share_or_dash

NO_IMAGES = "no validation images"
MEASURES_WIDTH = 18
"""The width of the columns precision, F1 and ROC AUC, in cells."""


class Classes(Section):
    """The classes, sorted by index or with the lowest accuracy first."""

    title = "classes"

    def __init__(self) -> None:
        self.lowest_first = True

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        return (("s", "in order" if self.lowest_first else "lowest first"),)

    def pressed(self, key: str) -> bool:
        if key == "s":
            self.lowest_first = not self.lowest_first
        return key == "s"

    def prepare(self) -> None:
        count = len(self.results.per_class)
        self._by_accuracy = sorted(range(count), key=self._rank)
        self._longest = max((cell_len(self.name(index)) for index in range(count)), default=4)
        texts = (accuracy_words(*counts) for counts in self.results.per_class)
        self._accuracy_width = max((len(text) for text in texts), default=0) + 1

    def _rank(self, index: int) -> tuple[float, int]:
        """Return the sort key: the lowest accuracy first, classes without images last."""
        correct, total = self.results.per_class[index]
        return (correct / total if total else 2.0, -total)

    def body(self, width: int, height: int) -> Body:
        count = len(self.results.per_class)
        order = self._by_accuracy if self.lowest_first else range(count)
        accuracy = self._accuracy_width
        if (0, 0) in self.results.per_class:
            accuracy = max(accuracy, len(NO_IMAGES) + 1)
        name = max(4, min(self._longest, (width - 4) // 3, width - 4 - accuracy))
        bar = width - 4 - name - 2 - accuracy
        measures = self.results.measures
        if bar < MEASURES_WIDTH:
            measures = None
        elif measures is not None:
            bar -= MEASURES_WIDTH
        order_text = "lowest accuracy first" if self.lowest_first else "in order"
        pinned = [line((f"  {count:,} classes, {order_text}", "strong"))]
        if measures is not None:
            heads = f"  {'':{name}}  {padded('accuracy', accuracy)} prec    F1   AUC"
            pinned.append(line((heads, "dim")))

        def at(number: int) -> Line:
            index = order[number]
            correct, total = self.results.per_class[index]
            text = accuracy_words(correct, total) if total else NO_IMAGES
            start = line(f"  {padded(self.name(index), name)}  ", padded(text, accuracy))
            if measures is not None:
                one = measures.per_class[index]
                values = (one.precision, one.f1, one.roc_auc)
                start += line("".join(f" {share_or_dash(value):>4} " for value in values))
            if bar < 12:
                return start
            return (*start, *interval_line(correct, total, bar, self.glyphs))

        return Body(pinned, count, at)

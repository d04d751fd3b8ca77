"""The accuracy of every class, with its interval; the worst first on request."""

from __future__ import annotations

from rich.cells import cell_len

from tl_tui.common.metrics import accuracy_words
from tui.drawing.lines import Line, line
from tui.drawing.sanitize import padded
from tui.screens.full_screen import Body
from tui.screens.results.interval_line import interval_line
from tui.screens.results.section import Section

NONE = "no validation images"


class Classes(Section):
    title = "classes"

    def __init__(self) -> None:
        self.worst_first = True

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        return (("s", "in order" if self.worst_first else "worst first"),)

    def pressed(self, key: str) -> bool:
        if key == "s":
            self.worst_first = not self.worst_first
        return key == "s"

    def prepare(self) -> None:
        count = len(self.results.per_class)
        self._worst = sorted(range(count), key=self._rank)
        self._longest = max((cell_len(self.name(index)) for index in range(count)), default=4)
        words = (accuracy_words(*one) for one in self.results.per_class)
        self._words = max((len(text) for text in words), default=0) + 1

    def _rank(self, index: int) -> tuple[float, int]:
        """The worst first; classes without images last."""
        right, total = self.results.per_class[index]
        return (right / total if total else 2.0, -total)

    def body(self, width: int, height: int) -> Body:
        count = len(self.results.per_class)
        order = self._worst if self.worst_first else range(count)
        words = max(self._words, len(NONE) + 1 if (0, 0) in self.results.per_class else 0)
        name = max(4, min(self._longest, (width - 4) // 3, width - 4 - words))
        bar = width - 4 - name - 2 - words
        how = "the worst first" if self.worst_first else "in order"
        pinned = [line((f"  {count:,} classes, {how}", "strong"))]

        def at(number: int) -> Line:
            index = order[number]
            right, total = self.results.per_class[index]
            text = accuracy_words(right, total) if total else NONE
            lead = line(f"  {padded(self.name(index), name)}  ", padded(text, words))
            if bar < 12:
                return lead
            return (*lead, *interval_line(right, total, bar, self.glyphs))

        return Body(pinned, count, at)

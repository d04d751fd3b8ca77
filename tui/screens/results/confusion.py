"""Which class is taken for which: a matrix while it fits, and the pairs by how often."""

from __future__ import annotations

from rich.cells import cell_len

from tl_tui.common.metrics import share_words
from tui.drawing.lines import Line, Piece, line, line_width
from tui.drawing.sanitize import padded
from tui.screens.full_screen import Body
from tui.screens.results.section import Section

NAME = 16
"""Cells that the longest class name may take beside the matrix."""
MOST_CLASSES = 200
"""More are not looked at: no screen has the columns."""


class Confusion(Section):
    title = "confusion"

    def prepare(self) -> None:
        self._counts = {(label, said): images for label, said, images in self.results.confusion}
        wrong = [(n, label, said) for (label, said), n in self._counts.items() if label != said]
        self._pairs = sorted(wrong, key=lambda pair: (-pair[0], pair[1], pair[2]))
        """(images, class, predicted) of every mistake, the most frequent first."""
        confused = {label for _, label, _ in self._pairs}
        self._longest = max((cell_len(self.name(label)) for label in confused), default=1)
        """Cells of the longest name of a class that is taken for another."""

    def body(self, width: int, height: int) -> Body:
        matrix = self._matrix(width)
        pinned = matrix[:2] if 0 < len(matrix) <= height else []
        fixed = matrix[len(pinned) :]
        lead = [(), *self._pairs_heading(bool(matrix))] if matrix else self._pairs_heading(False)
        fixed += lead
        if not matrix:
            pinned, fixed = fixed, []

        def at(number: int) -> Line:
            return fixed[number] if number < len(fixed) else self._pair(number - len(fixed), width)

        return Body(pinned, len(fixed) + len(self._pairs), at)

    # --- the matrix -----------------------------------------------------------------------------

    def _matrix(self, width: int) -> list[Line]:
        """Two lines of heading and one a class; none if it is too wide to be read."""
        classes = len(self.results.per_class)
        digits = max((len(f"{n}") for n in self._counts.values()), default=1)
        number = len(str(classes))
        if classes > MOST_CLASSES:
            return []
        longest = max((cell_len(self.name(index)) for index in range(classes)), default=1)
        label = min(NAME if width < 100 else 2 * NAME, max(longest, 4)) + number + 3
        cell = max(digits, number) + 2
        if label + classes * cell + 12 > width:
            return []
        named = self._column_names(classes, (width - label - 12) // max(1, classes), cell)
        if named:
            cell = max(cell, max(cell_len(n) for n in named) + 2)
        heads = named or [str(i + 1) for i in range(classes)]
        blank = " " * label
        right = padded("said", classes * cell, right=True)
        top = line((blank + right, "dim"), (padded("right", 10, right=True), "dim"))
        second: list[Piece] = [(padded(f"  {'is':<{number}}", label), "dim")]
        second += [(padded(head, cell, right=True), "dim") for head in heads]
        lines: list[Line] = [top, tuple(second)]
        for row in range(classes):
            lines.append(self._row(row, label, number, cell))
        return lines

    def _column_names(self, classes: int, room: int, cell: int) -> list[str]:
        """The classes' names over the columns, if they have room; else they are numbered."""
        names = [self.name(index) for index in range(classes)] if classes <= 12 else []
        fits = names and all(cell_len(name) <= room - 2 for name in names)
        return names if fits and room > cell else []

    def _row(self, row: int, label: int, number: int, cell: int) -> Line:
        right, total = self.results.per_class[row]
        name = padded(self.name(row), label - number - 3)
        pieces: list[Piece] = [(f"  {row + 1:>{number}} ", "dim"), (name, "text")]
        for column in range(len(self.results.per_class)):
            count = self._counts.get((row, column), 0)
            text = padded(str(count) if count else "·", cell, right=True)
            style = "strong" if row == column else "text"
            pieces.append((text, style if count else "dim"))
        share = share_words(right / total) if total else "–"
        return (*pieces, (padded(share, 10, right=True), "text"))

    # --- the pairs ------------------------------------------------------------------------------

    def _pairs_heading(self, matrix: bool) -> list[Line]:
        classes = len(self.results.per_class)
        if not self._pairs:
            return [line("  No image is taken for another class.")]
        head = line(("  Mistakes, the most frequent first", "strong"))
        if matrix:
            return [head]
        return [line((f"  {classes:,} classes: too many for a matrix here.", "dim")), (), head]

    def _pair(self, number: int, width: int) -> Line:
        images, label, said = self._pairs[number]
        total = self.results.per_class[label][1]
        share = share_words(images / total) if total else ""
        if width < 60:
            lead: list[Piece] = [(padded(f"{images:,}/{total:,}", 9, right=True), "text")]
            between = " as "
        else:
            lead = [(padded(f"{images:,} of {total:,}", 15, right=True), "text")]
            lead.append((f" {share:>4}", "dim"))
            between = " taken for "
        room = max(6, (width - line_width(lead) - len(between) - 2) // 2)
        name = padded(self.name(label), min(room, self._longest))
        return line(*lead, f"  {name}", (between, "dim"), self.name(said))

"""The confusion matrix, if it fits, and the list of confused classes."""

from __future__ import annotations

from rich.cells import cell_len

from tl_tui.common.metrics import share_words
from tui.drawing.lines import Line, Piece, line, line_width
from tui.drawing.sanitize import padded
from tui.screens.full_screen import Body
from tui.screens.results.section import Section

MAX_NAME_WIDTH = 16
"""The widest class name next to the matrix, in cells."""
MAX_CLASSES = 200
"""The most classes for which a matrix is tried; no screen has room for more columns."""


class Confusion(Section):
    """The confusion matrix above the pairs of confused classes, the most frequent first."""

    title = "confusion"

    def prepare(self) -> None:
        self._counts = {(label, predicted): n for label, predicted, n in self.results.confusion}
        wrong = [(n, label, pred) for (label, pred), n in self._counts.items() if label != pred]
        self._pairs = sorted(wrong, key=lambda pair: (-pair[0], pair[1], pair[2]))
        """Images, label and predicted class of every confusion, the most frequent first."""
        confused = {label for _, label, _ in self._pairs}
        self._longest = max((cell_len(self.name(label)) for label in confused), default=1)
        """The width of the longest name of a confused class, in cells."""

    def body(self, width: int, height: int) -> Body:
        matrix = self._matrix(width)
        pinned = matrix[:2] if 0 < len(matrix) <= height else []
        fixed = matrix[len(pinned) :]
        fixed += [(), *self._pairs_heading(True)] if matrix else self._pairs_heading(False)
        if not matrix:
            pinned, fixed = fixed, []

        def at(number: int) -> Line:
            return fixed[number] if number < len(fixed) else self._pair(number - len(fixed), width)

        return Body(pinned, len(fixed) + len(self._pairs), at)

    # --- the matrix -----------------------------------------------------------------------------

    def _matrix(self, width: int) -> list[Line]:
        """Return two lines of heading and one line per class; none if the matrix is too wide."""
        classes = len(self.results.per_class)
        digits = max((len(f"{n}") for n in self._counts.values()), default=1)
        number = len(str(classes))
        if classes > MAX_CLASSES:
            return []
        longest = max((cell_len(self.name(index)) for index in range(classes)), default=1)
        widest = MAX_NAME_WIDTH if width < 100 else 2 * MAX_NAME_WIDTH
        label = min(widest, max(longest, 4)) + number + 3
        cell = max(digits, number) + 2
        if label + classes * cell + 12 > width:
            return []
        names = self._column_names(classes, (width - label - 12) // max(1, classes), cell)
        if names:
            cell = max(cell, max(cell_len(name) for name in names) + 2)
        heads = names or [str(i + 1) for i in range(classes)]
        predicted = padded("predicted", label + classes * cell, right=True)
        top = line((predicted, "dim"), (padded("accuracy", 10, right=True), "dim"))
        second: list[Piece] = [(padded("  label", label), "dim")]
        second += [(padded(head, cell, right=True), "dim") for head in heads]
        lines: list[Line] = [top, tuple(second)]
        for row in range(classes):
            lines.append(self._row(row, label, number, cell))
        return lines

    def _column_names(self, classes: int, room: int, cell: int) -> list[str]:
        """Return the class names as column headings, if they fit; otherwise an empty list."""
        names = [self.name(index) for index in range(classes)] if classes <= 12 else []
        fits = names and all(cell_len(name) <= room - 2 for name in names)
        return names if fits and room > cell else []

    def _row(self, row: int, label: int, number: int, cell: int) -> Line:
        correct, total = self.results.per_class[row]
        name = padded(self.name(row), label - number - 3)
        pieces: list[Piece] = [(f"  {row + 1:>{number}} ", "dim"), (name, "text")]
        for column in range(len(self.results.per_class)):
            count = self._counts.get((row, column), 0)
            text = padded(str(count) if count else "·", cell, right=True)
            style = "strong" if row == column else "text"
            pieces.append((text, style if count else "dim"))
        accuracy = share_words(correct / total) if total else "–"
        return (*pieces, (padded(accuracy, 10, right=True), "text"))

    # --- the pairs ------------------------------------------------------------------------------

    def _pairs_heading(self, matrix: bool) -> list[Line]:
        classes = len(self.results.per_class)
        if not self._pairs:
            return [line("  Every image is classified correctly.")]
        heading = line(("  Confused classes, the most frequent first", "strong"))
        if matrix:
            return [heading]
        return [
            line((f"  {classes:,} classes: too many for a matrix on this screen.", "dim")),
            (),
            heading,
        ]

    def _pair(self, number: int, width: int) -> Line:
        images, label, predicted = self._pairs[number]
        total = self.results.per_class[label][1]
        share = share_words(images / total) if total else ""
        if width < 60:
            pieces: list[Piece] = [(padded(f"{images:,}/{total:,}", 9, right=True), "text")]
            between = " as "
        else:
            pieces = [(padded(f"{images:,} of {total:,}", 15, right=True), "text")]
            pieces.append((f" {share:>4}", "dim"))
            between = " classified as "
        room = max(6, (width - line_width(pieces) - len(between) - 2) // 2)
        name = padded(self.name(label), min(room, self._longest))
        return line(*pieces, f"  {name}", (between, "dim"), self.name(predicted))

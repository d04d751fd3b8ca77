"""Averaged measures, calibration, and the reliability of the probabilities."""

from __future__ import annotations

from tui.drawing.lines import Line, line, wrapped
from tui.drawing.sanitize import padded
from tui.screens.full_screen import Body, body
from tui.screens.results.interval_line import interval_line
from tui.screens.results.section import Section
from tui.text.measures import measure_sentences

LABEL_WIDTH = 12
"""The width of the first column, in cells."""
BIN_WIDTH = 32
"""The width of a bin's numbers, in cells."""


class MeasuresSection(Section):
    """Precision, recall, F1, ROC AUC, top-5, and calibration with its reliability diagram."""

    title = "measures"

    def body(self, width: int, height: int) -> Body:
        measures = self.results.measures
        if measures is None:
            text = "Only the accuracy is known, because some outputs of the model are not finite."
            return body([line(f"  {part}") for part in wrapped(text, width - 4, 3)])
        lines: list[Line] = []
        sentences = measure_sentences(measures, self.results.loss, self.results.per_class)
        for label, text in sentences:
            for number, part in enumerate(wrapped(text, width - LABEL_WIDTH - 4, 6)):
                first = padded(label if number == 0 else "", LABEL_WIDTH)
                lines.append(line((f"  {first} ", "dim"), part))
        return body([*lines, (), *self._reliability(width)])

    def _reliability(self, width: int) -> list[Line]:
        """Return one line per bin: the accuracy with its interval, and a mark at the confidence."""
        assert self.results.measures is not None
        lines = [line(("  Predictions by their probability", "strong"))]
        bar = width - BIN_WIDTH - 4
        text = "images with such a probability, and how many are correct"
        if bar >= 12:
            text += "; p is their mean probability"
        lines += [line((f"  {part}", "dim")) for part in wrapped(text, width - 4, 2)]
        bins = self.results.measures.reliability
        for number, one in enumerate(bins):
            if not one.images:
                continue
            low, high = number / len(bins), (number + 1) / len(bins)
            edges = f"{low:.2f} to {high:.2f}"
            text = f"  {edges}  {f'{one.correct:,} of {one.images:,}':>{BIN_WIDTH - 16}}  "
            if bar < 12:
                lines.append(line(text))
                continue
            marks = [("p", one.confidence)]
            drawn = interval_line(one.correct, one.images, bar, self.glyphs, marks)
            lines.append((*line(text), *drawn))
        return lines

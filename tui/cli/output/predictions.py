"""Predictions as lines of text, JSON or CSV."""

from __future__ import annotations

import csv
import io
import sys
from array import array
from collections.abc import Sequence
from typing import Protocol

from tl_tui.common import json_codec
from tl_tui.common.metrics import share_words
from tl_tui.common.plain_text import write_utf8
from tui.cli.output.names import NAME_CELLS, printable, short_name

Probabilities = Sequence[float]
"""The probability of each class, in the order of the classes."""
TEXT_CLASSES = 3
"""The default number of classes in a line of text."""


def top_classes(probabilities: Probabilities, top: int) -> list[int]:
    """Return the indices of the most probable classes in descending order; ties keep their order.

    Args:
        probabilities: The probability of each class.
        top: The number of classes to return.
    """
    if top == 1:
        return [max(range(len(probabilities)), key=probabilities.__getitem__)]
    order = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])
    return order[:top]


class PredictionLines(Protocol):
    """A format for predictions, one line per image."""

    def header(self) -> list[str]:
        """Return the lines before the first image."""

    def line(self, path: str, probabilities: Probabilities) -> str:
        """Return the line for an image."""


class TextLines:
    """Lines with the most probable classes, their probabilities, and the image's path."""

    def __init__(self, classes: Sequence[str], top: int | None) -> None:
        from rich.cells import cell_len

        self.names = [short_name(name) for name in classes]
        self.top = min(top or TEXT_CLASSES, len(classes))
        self.width = min(NAME_CELLS, max(map(cell_len, self.names)))

    def header(self) -> list[str]:
        return []

    def line(self, path: str, probabilities: Probabilities) -> str:
        from rich.cells import set_cell_size

        cells = [
            f"{share_words(probabilities[index]):>4} {set_cell_size(self.names[index], self.width)}"
            for index in top_classes(probabilities, self.top)
        ]
        return "  ".join([*cells, printable(path)])


class JsonLines:
    """Lines of strict JSON, one object per image."""

    def __init__(self, classes: Sequence[str], top: int | None) -> None:
        write_utf8(sys.stdout)
        self.classes, self.top = classes, top

    def header(self) -> list[str]:
        return []

    def line(self, path: str, probabilities: Probabilities) -> str:
        best = top_classes(probabilities, 1)[0]
        if self.top is None:
            shown: Sequence[int] = range(len(self.classes))
        else:
            shown = top_classes(probabilities, self.top)
        return json_codec.dumps(
            {
                "path": path,
                "class": self.classes[best],
                "probability": probabilities[best],
                "probabilities": {self.classes[index]: probabilities[index] for index in shown},
            }
        )


class CsvLines:
    """Lines of CSV with a header."""

    def __init__(self, classes: Sequence[str], top: int | None) -> None:
        write_utf8(sys.stdout)
        self.classes, self.top = classes, top
        self.escape = sys.stdout.isatty()
        """Whether to escape control characters, which a file name could use on a terminal."""

    def header(self) -> list[str]:
        if self.top is None:
            columns = [f"p({name})" for name in self.classes]
        else:
            numbers = range(2, min(self.top, len(self.classes)) + 1)
            columns = [
                f"{column}_{number}" for number in numbers for column in ("class", "probability")
            ]
        return [self._row(["path", "class", "probability", *columns])]

    def line(self, path: str, probabilities: Probabilities) -> str:
        first, *others = top_classes(probabilities, self.top or 1)
        row: list[object] = [path, self.classes[first], probabilities[first]]
        if self.top is None:
            row += probabilities
        for index in others:
            row += [self.classes[index], probabilities[index]]
        return self._row(row)

    def _row(self, cells: Sequence[object]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(cells)
        return printable(text.getvalue()) if self.escape else text.getvalue()


class LeastCertainFirst:
    """Predictions collected for sorting, with 4 bytes per probability."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, int, str, array[float]]] = []

    def add(self, path: str, probabilities: Probabilities) -> None:
        """Add the prediction for an image."""
        row = (max(probabilities), len(self._rows), path, array("f", probabilities))
        self._rows.append(row)

    def rows(self) -> list[tuple[str, Probabilities]]:
        """Return the predictions by the probability of the predicted class, the lowest first."""
        self._rows.sort(key=lambda row: row[:2])
        return [(path, probabilities) for _, _, path, probabilities in self._rows]

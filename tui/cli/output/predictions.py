"""What a model says to images, as lines: words, strict JSON, or CSV."""

from __future__ import annotations

import csv
import io
import sys
from array import array
from collections.abc import Sequence
from typing import Protocol

from tl_tui.common import json_codec
from tl_tui.common.metrics import share_words
from tui.cli.output.train.sentences import NAME_CELLS, printable, short

Probabilities = Sequence[float]
"""Of every class, in the order of the classes."""
SHOWN = 3
"""Classes in a line of words."""


def ranked(probabilities: Probabilities, top: int) -> list[int]:
    """The most probable classes by index, the most probable first; of equal ones the earlier."""
    if top == 1:
        return [max(range(len(probabilities)), key=probabilities.__getitem__)]
    order = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])
    return order[:top]


class Lines(Protocol):
    """One way to write predictions."""

    def head(self) -> list[str]:
        """The lines before the first image."""

    def line(self, path: str, probabilities: Probabilities) -> str:
        """The line of an image."""


class Words:
    """Classes with their probabilities, the most probable first, and then the path."""

    def __init__(self, classes: Sequence[str], top: int | None) -> None:
        from rich.cells import cell_len

        self.names = [short(name) for name in classes]
        self.top = min(top or SHOWN, len(classes))
        self.width = min(NAME_CELLS, max(map(cell_len, self.names)))

    def head(self) -> list[str]:
        return []

    def line(self, path: str, probabilities: Probabilities) -> str:
        from rich.cells import set_cell_size

        cells = [
            f"{share_words(probabilities[index]):>4} {set_cell_size(self.names[index], self.width)}"
            for index in ranked(probabilities, self.top)
        ]
        return "  ".join([*cells, printable(path)])


class JsonObjects:
    """One strict JSON object a line."""

    def __init__(self, classes: Sequence[str], top: int | None) -> None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        self.classes, self.top = classes, top

    def head(self) -> list[str]:
        return []

    def line(self, path: str, probabilities: Probabilities) -> str:
        best = ranked(probabilities, 1)[0]
        shown = range(len(self.classes)) if self.top is None else ranked(probabilities, self.top)
        return json_codec.dumps(
            {
                "path": path,
                "class": self.classes[best],
                "probability": probabilities[best],
                "probabilities": {self.classes[index]: probabilities[index] for index in shown},
            }
        )


class CsvRows:
    """A header, and one row an image."""

    def __init__(self, classes: Sequence[str], top: int | None) -> None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        self.classes, self.top = classes, top
        self.plain = sys.stdout.isatty()
        """A terminal must not be told what to do by the name of a file."""

    def head(self) -> list[str]:
        if self.top is None:
            columns = [f"p({name})" for name in self.classes]
        else:
            numbers = range(2, min(self.top, len(self.classes)) + 1)
            columns = [
                f"{what}_{number}" for number in numbers for what in ("class", "probability")
            ]
        return [self._row(["path", "class", "probability", *columns])]

    def line(self, path: str, probabilities: Probabilities) -> str:
        first, *more = ranked(probabilities, self.top or 1)
        row: list[object] = [path, self.classes[first], probabilities[first]]
        if self.top is None:
            row += probabilities
        for index in more:
            row += [self.classes[index], probabilities[index]]
        return self._row(row)

    def _row(self, cells: Sequence[object]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(cells)
        return printable(text.getvalue()) if self.plain else text.getvalue()


class LeastCertainFirst:
    """Rows kept until all are there, 4 bytes a probability."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, int, str, array[float]]] = []

    def add(self, path: str, probabilities: Probabilities) -> None:
        row = (max(probabilities), len(self._rows), path, array("f", probabilities))
        self._rows.append(row)

    def rows(self) -> list[tuple[str, Probabilities]]:
        """By the probability of the answer, the smallest first."""
        self._rows.sort(key=lambda row: row[:2])
        return [(path, probabilities) for _, _, path, probabilities in self._rows]

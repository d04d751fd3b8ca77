"""Evaluations as CSV: the confusion matrix, and one row per image."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.cli.output.output_file import OutputFile

if TYPE_CHECKING:
    from tl_tui.protocol.inference import DataEvaluated, EvaluatedImage

PER_IMAGE_COLUMNS = ("path", "label", "predicted", "probability", "loss")


def write_confusion(file: OutputFile, classes: Sequence[str], result: DataEvaluated) -> None:
    """Write the confusion matrix: a row per class, a column per predicted class.

    Args:
        file: The file.
        classes: The names of the classes.
        result: The evaluation.
    """
    rows: list[dict[int, int]] = [{} for _ in classes]
    for label, predicted, count in result.confusion:
        rows[label][predicted] = count
    with file.writing() as path, open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["label", *classes])
        for name, row in zip(classes, rows, strict=True):
            writer.writerow([name, *(row.get(index, 0) for index in range(len(classes)))])
    file.finish()


class PerImageCsv:
    """A CSV file with one row per image, written while the images are evaluated."""

    def __init__(self, file: OutputFile) -> None:
        self._file = file
        with file.writing() as path:
            self._handle = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115
        self._writer = csv.writer(self._handle, lineterminator="\n")
        self._writer.writerow(PER_IMAGE_COLUMNS)

    def add(self, classes: Sequence[str], images: Sequence[EvaluatedImage]) -> None:
        """Add a batch of images.

        Args:
            classes: The names of the classes.
            images: The images.
        """
        with self._file.writing():
            self._writer.writerows(
                (i.path, classes[i.label], classes[i.predicted], i.probability, i.loss)
                for i in images
            )

    def finish(self) -> None:
        """Complete the file."""
        with self._file.writing():
            self._handle.close()
        self._file.finish()

    def discard(self) -> None:
        """Remove the file, unless it was finished."""
        self._handle.close()
        self._file.discard()

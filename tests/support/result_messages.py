"""Messages for tests with made-up results, pictures, range tests and cross-validation folds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from tl_tui.protocol.checks import CrossValidationEnded, FoldValidated, LrRangeTested
from tl_tui.protocol.measures import (
    Averages,
    ClassMeasures,
    Measures,
    ReliabilityBin,
    Temperature,
)
from tl_tui.protocol.results import Comparison, ImagesShown, ResultsShown, Thumbnail, WrongImage


def results(
    matrix: Sequence[Sequence[int]] = ((36, 4), (6, 34)),
    *,
    step: int = 0,
    paths: Sequence[str] = (),
    comparisons: Sequence[Comparison] = (),
    **changes: Any,
) -> ResultsShown:
    """Return results for a confusion matrix [class][predicted class].

    Args:
        matrix: The confusion matrix.
        step: The number of the step.
        paths: The paths of the misclassified images.
        comparisons: The comparisons with other results.
        changes: Other fields of the message.
    """
    per_class = tuple((row[label], sum(row)) for label, row in enumerate(matrix))
    fields: dict[str, Any] = {
        "start": 0,
        "step": step,
        "epoch": 1,
        "correct": sum(right for right, _ in per_class),
        "total": sum(total for _, total in per_class),
        "loss": 0.341,
        "per_class": per_class,
        "confusion": tuple(
            (label, predicted, images)
            for label, row in enumerate(matrix)
            for predicted, images in enumerate(row)
            if images
        ),
        "most_wrong": tuple(
            WrongImage(path, 0, 1, 0.99 - number / 100, 0.01) for number, path in enumerate(paths)
        ),
        "comparisons": tuple(comparisons),
        "stale": False,
    }
    return ResultsShown(**(fields | changes))


def measures(
    per_class: Sequence[tuple[int, int]] = ((36, 40), (34, 40)), **changes: Any
) -> Measures:
    """Return measures of overconfident predictions, with a recall per class."""
    recalls = [correct / total if total else None for correct, total in per_class]
    mean = sum(recall for recall in recalls if recall is not None) / len(per_class)
    correct, total = map(sum, zip(*per_class, strict=True))
    empty = (ReliabilityBin(0, 0.0, 0),) * 13
    fields: dict[str, Any] = {
        "per_class": tuple(ClassMeasures(recall, recall, recall, 0.93) for recall in recalls),
        "macro": Averages(0.871, mean, 0.873),
        "weighted": Averages(0.872, correct / total, 0.874),
        "roc_auc": 0.931,
        "top5": None,
        "brier": 0.213,
        "ece": 0.162,
        "ece_calibrated": 0.101,
        "ece_calibrated_high": 0.152,
        "reliability": (
            *empty,
            ReliabilityBin(10, 0.9, 7),
            ReliabilityBin(total - 10, 0.97, correct - 7),
        ),
        "temperature": Temperature(
            value=1.34,
            images=total,
            folds=5,
            nll_before=0.341,
            nll_after=0.322,
            ece_before=0.162,
            ece_after=0.121,
        ),
    }
    return Measures(**(fields | changes))


def thumbnail(number: int = 0, side: int = 8, **changes: Any) -> Thumbnail:
    """Return a picture whose upper half is red and whose lower half is blue."""
    half = side * (side // 2)
    fields: dict[str, Any] = {
        "path": f"val/hot dog/{number:04}.jpg",
        "label": 0,
        "predicted": 1,
        "probability": 0.87,
        "width": side,
        "height": side,
        "pixels": b"\xff\x00\x00" * half + b"\x00\x00\xff" * (side * side - half),
    }
    return Thumbnail(**(fields | changes))


def images(
    what: Literal["batch", "wrong"] = "batch", count: int = 6, side: int = 8, **changes: Any
) -> ImagesShown:
    """Return a message with `count` pictures."""
    fields: dict[str, Any] = {
        "selection": what,
        "step": 0,
        "images": tuple(thumbnail(number, side) for number in range(count)),
        "total": 32 if what == "batch" else 10,
    }
    return ImagesShown(**(fields | changes))


def range_tested(steps: int = 80, **changes: Any) -> LrRangeTested:
    """Return a range test whose loss falls until a rate of 0.2 and diverges after it."""
    points = []
    for number in range(steps):
        rate = 1e-5 * 1e6 ** (number / 79)
        fall = 0.4 / (1 + math.exp(-3 * (math.log10(rate) + 2.5)))
        points.append((rate, 0.7 - fall + (rate / 1.2) ** 2))
    return LrRangeTested(**({"points": tuple(points), "done": False} | changes))


def fold(number: int, folds: int = 5, correct: int = 13, **changes: Any) -> FoldValidated:
    """Return the result of one fold with sixteen images in two classes."""
    fields: dict[str, Any] = {
        "fold": number,
        "folds": folds,
        "correct": correct,
        "total": 16,
        "loss": 0.4,
        "per_class": ((8, 8), (correct - 8, 8)),
        "steps": 80,
        "cached": "layer4",
        "seconds": 12.0,
    }
    return FoldValidated(**(fields | changes))


def folds_ended(corrects: Sequence[int], **changes: Any) -> CrossValidationEnded:
    fields: dict[str, Any] = {
        "folds": len(corrects),
        "correct": sum(corrects),
        "total": 16 * len(corrects),
        "accuracies": tuple(correct / 16 for correct in corrects),
        "reason": "done",
    }
    return CrossValidationEnded(**(fields | changes))

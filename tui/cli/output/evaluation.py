"""The result of an evaluation as text and tables, or as one JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tl_tui.common.metrics import accuracy_words, balanced_accuracy, interval, share_words
from tl_tui.protocol.inference import DataEvaluated, InferenceBegan, UnreadableFile
from tl_tui.protocol.measures import Measures
from tui.cli import printing
from tui.cli.output.names import printable, short_name
from tui.cli.output.train.sentences import class_table
from tui.text.dataset import left_out_sentence
from tui.text.measures import class_words, measure_sentences

MATRIX_CLASSES = 12
"""The largest number of classes in a confusion matrix; with more, the most frequent mistakes are
listed instead."""
UNLIMITED_CELLS = 1000
"""A width in terminal cells that exceeds any confusion matrix."""
MISTAKES = 10
"""The number of mistakes listed."""
WRONG_IMAGES = 10
"""The number of wrong images listed."""


def print_json(
    began: InferenceBegan, result: DataEvaluated, unreadable: Sequence[UnreadableFile]
) -> None:
    """Print an evaluation as one strict JSON object; shares are from 0 to 1.

    Args:
        began: The run and the images.
        result: The result.
        unreadable: The images that could not be read.
    """
    names = began.classes
    majority = _majority_class(result)
    counts = list(zip(names, result.per_class, strict=True))
    report: dict[str, Any] = {
        "run": began.run,
        "checkpoint": began.checkpoint,
        "step": began.step,
        "images": began.source,
        "notes": began.notes,
        "left_out": msgspec.to_builtins(began.left_out),
        "loss": result.loss,
        "accuracy": result.correct / result.total,
        "correct": result.correct,
        "total": result.total,
        "interval": interval(result.correct, result.total),
        "balanced_accuracy": balanced_accuracy(result.per_class),
        "chance": 1 / len(names),
        "majority": result.per_class[majority][1] / result.total,
        "majority_class": names[majority],
        "per_class": {n: correct / total if total else None for n, (correct, total) in counts},
        "per_class_counts": {n: {"correct": c, "total": t} for n, (c, t) in counts},
        **_measures_as_json(names, result.measures),
        "confusion": [
            {"class": names[label], "said": names[predicted], "images": count}
            for label, predicted, count in result.confusion
        ],
        "most_wrong": [
            {
                "path": wrong.path,
                "class": names[wrong.label],
                "said": names[wrong.predicted],
                "probability": wrong.probability,
                "class_probability": wrong.label_probability,
            }
            for wrong in result.most_wrong
        ],
        "unreadable": [{"path": file.path, "reason": file.reason} for file in unreadable],
    }
    printing.print_json(report)


def _measures_as_json(classes: Sequence[str], measures: Measures | None) -> dict[str, Any]:
    """Return the measures by name; undefined ones are None."""
    if measures is None:
        return {}
    bins = len(measures.reliability)
    return {
        "macro": msgspec.structs.asdict(measures.macro),
        "weighted": msgspec.structs.asdict(measures.weighted),
        "per_class_measures": {
            name: msgspec.structs.asdict(one)
            for name, one in zip(classes, measures.per_class, strict=True)
        },
        "roc_auc": measures.roc_auc,
        "top5": measures.top5,
        "brier": measures.brier,
        "ece": measures.ece,
        "ece_calibrated": measures.ece_calibrated,
        "ece_calibrated_high": measures.ece_calibrated_high,
        "reliability": [
            {
                "from": number / bins,
                "to": (number + 1) / bins,
                "images": one.images,
                "correct": one.correct,
                "confidence": one.confidence if one.images else None,
            }
            for number, one in enumerate(measures.reliability)
        ],
        "temperature": measures.temperature and msgspec.structs.asdict(measures.temperature),
        "temperature_missing": measures.temperature_missing,
    }


def print_report(began: InferenceBegan, result: DataEvaluated, unreadable: int) -> None:
    """Print an evaluation as text: the accuracy, also per class, the mistakes and the wrong images.

    Args:
        began: The run and the images.
        result: The result.
        unreadable: The number of images that could not be read.
    """
    out = printing.console()

    def print_lines(lines: list[str]) -> None:
        for line in lines:
            out.print(printable(line), markup=False, soft_wrap=True)

    majority = _majority_class(result)
    name = short_name(began.classes[majority])
    share = share_words(result.per_class[majority][1] / result.total)
    print_lines(
        [
            f"{began.arch}, {began.checkpoint}, step {began.step}; {began.source}; {began.device}",
            *([left_out_sentence(began.left_out)] if began.left_out else []),
            *began.notes,
            f"Accuracy: {accuracy_words(result.correct, result.total)}; balanced "
            f"{share_words(balanced_accuracy(result.per_class))}; chance "
            f"{share_words(1 / len(began.classes))}, majority {share} ({name}); "
            f"loss {result.loss:.3f}.",
        ]
    )
    if unreadable:
        print_lines([f"{unreadable} image{' was' if unreadable == 1 else 's were'} skipped."])
    others: list[str] = []
    if result.measures is not None:
        others = [class_words(one) for one in result.measures.per_class]
        sentences = measure_sentences(result.measures, result.loss, result.per_class)
        print_lines(["", *(f"{name:<12} {text}" for name, text in sentences)])
    print_lines(["", *class_table(began.classes, result.per_class, "", others)])
    if result.correct == result.total:
        print_lines(["", "All images are classified correctly."])
        return
    shown = _classes_in(result)
    table = (
        _confusion_matrix(began.classes, shown, result) if len(shown) <= MATRIX_CLASSES else None
    )
    width = 0
    if table is not None:
        width = out.measure(table, options=out.options.update(width=UNLIMITED_CELLS)).maximum
    if not out.is_terminal:  # A pipe has room for any width.
        out.width = max(out.width, width)
    if table is not None and width <= out.width:
        out.print()
        out.print(table)
    else:
        print_lines(["", *_mistakes(began.classes, result)])
    print_lines(["", *_most_wrong(began.classes, result)])


def _majority_class(result: DataEvaluated) -> int:
    """Return the index of the class with the most images."""
    return max(range(len(result.per_class)), key=lambda index: result.per_class[index][1])


def _classes_in(result: DataEvaluated) -> list[int]:
    """Return the indices of the classes that have images or were predicted."""
    labels = {index for index, (_, total) in enumerate(result.per_class) if total}
    return sorted(labels | {predicted for _, predicted, _ in result.confusion})


def _confusion_matrix(classes: Sequence[str], shown: Sequence[int], result: DataEvaluated) -> Any:
    """Return a rich table with one row per class and one column per predicted class."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    counts = {(label, predicted): count for label, predicted, count in result.confusion}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("actual / predicted", no_wrap=True)
    for number in range(1, len(shown) + 1):
        table.add_column(str(number), justify="right", no_wrap=True)
    table.add_column("correct", justify="right", no_wrap=True)
    for number, label in enumerate(shown, start=1):
        correct, total = result.per_class[label]
        cells = [
            Text(str(counts[label, predicted]), style="bold" if predicted == label else "")
            if (label, predicted) in counts
            else Text(".", style="dim")
            for predicted in shown
        ]
        share = share_words(correct / total) if total else "-"
        table.add_row(Text(f"{number:>2} {short_name(classes[label])}"), *cells, share)
    return table


def _mistakes(classes: Sequence[str], result: DataEvaluated) -> Iterator[str]:
    """Yield the lines that list the most frequent mistakes."""
    pairs = [
        (count, label, predicted)
        for label, predicted, count in result.confusion
        if label != predicted
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    yield f"The {min(MISTAKES, len(pairs))} most frequent mistakes of {len(pairs)}:"
    for count, label, predicted in pairs[:MISTAKES]:
        total = result.per_class[label][1]
        actual, wrong = short_name(classes[label]), short_name(classes[predicted])
        yield f"  {count} of {total}  {actual} classified as {wrong}"


def _most_wrong(classes: Sequence[str], result: DataEvaluated) -> Iterator[str]:
    """Yield the lines that list the wrong images with the most confident predictions."""
    wrong = result.total - result.correct
    shown = result.most_wrong[:WRONG_IMAGES]
    title = "All" if len(shown) == wrong else f"{len(shown)} of {wrong}"
    yield f"{title} wrong predictions, the most confident first:"
    for image in shown:
        predicted, label = short_name(classes[image.predicted]), short_name(classes[image.label])
        yield f"  {share_words(image.probability):>4} {predicted}, actually {label}  {image.path}"

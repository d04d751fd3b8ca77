"""A model held against labelled images: in words and tables, or as one JSON object."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from tl_tui.common import json_codec
from tl_tui.common.metrics import accuracy_words, balanced_accuracy, interval, share_words
from tl_tui.protocol.inference import DataEvaluated, InferenceBegan, UnreadableFile
from tui.cli.output.train.sentences import class_table, printable, short

MATRIX = 12
"""More classes than these are no matrix any more; their most frequent mistakes are listed."""
WIDE = 1000
"""Cells that no matrix needs; a pipe has them, and a terminal may not."""
MISTAKES = 10
WRONG = 10
"""Most wrong images that are named."""


def print_json(
    began: InferenceBegan, result: DataEvaluated, unreadable: Sequence[UnreadableFile]
) -> None:
    """One strict JSON object; shares are from 0 to 1."""
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    names = began.classes
    majority = _majority(result)
    counts = list(zip(names, result.per_class, strict=True))
    whole: dict[str, Any] = {
        "run": began.run,
        "checkpoint": began.checkpoint,
        "step": began.step,
        "images": began.source,
        "notes": began.notes,
        "loss": result.loss,
        "accuracy": result.correct / result.total,
        "correct": result.correct,
        "total": result.total,
        "interval": interval(result.correct, result.total),
        "balanced_accuracy": balanced_accuracy(result.per_class),
        "chance": 1 / len(names),
        "majority": result.per_class[majority][1] / result.total,
        "majority_class": names[majority],
        "per_class": {n: right / total if total else None for n, (right, total) in counts},
        "per_class_counts": {n: {"correct": c, "total": t} for n, (c, t) in counts},
        "confusion": [
            {"class": names[label], "said": names[said], "images": count}
            for label, said, count in result.confusion
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
    print(json_codec.dumps(whole), flush=True)


def print_report(began: InferenceBegan, result: DataEvaluated, unreadable: int) -> None:
    """Accuracy, classes, mistakes, most wrong images."""
    from tui.cli.printing import console

    out = console()

    def say(lines: list[str]) -> None:
        for line in lines:
            out.print(printable(line), markup=False, soft_wrap=True)

    majority = _majority(result)
    name = short(began.classes[majority])
    share = share_words(result.per_class[majority][1] / result.total)
    say(
        [
            f"{began.arch}, {began.checkpoint}, step {began.step}; {began.source}; {began.device}",
            *began.notes,
            f"Accuracy: {accuracy_words(result.correct, result.total)}; balanced "
            f"{share_words(balanced_accuracy(result.per_class))}; chance "
            f"{share_words(1 / len(began.classes))}, majority {share} ({name}); "
            f"loss {result.loss:.3f}.",
        ]
    )
    if unreadable:
        say([f"{unreadable} image{' is' if unreadable == 1 else 's are'} left out."])
    say(["", *class_table(began.classes, result.per_class, "")])
    if result.correct == result.total:
        say(["", "No image is taken for another class."])
        return
    shown = _shown(result)
    table = _matrix(began.classes, shown, result) if len(shown) <= MATRIX else None
    wide = (
        0 if table is None else out.measure(table, options=out.options.update(width=WIDE)).maximum
    )
    if not out.is_terminal:
        out.width = max(out.width, wide)
    if table is not None and wide <= out.width:
        out.print()
        out.print(table)
    else:
        say(["", *_mistakes(began.classes, result)])
    say(["", *_most_wrong(began.classes, result)])


def _majority(result: DataEvaluated) -> int:
    """The class with the most images."""
    return max(range(len(result.per_class)), key=lambda index: result.per_class[index][1])


def _shown(result: DataEvaluated) -> list[int]:
    """The classes that have images here, or are said of some."""
    there = {index for index, (_, total) in enumerate(result.per_class) if total}
    return sorted(there | {said for _, said, _ in result.confusion})


def _matrix(classes: Sequence[str], shown: Sequence[int], result: DataEvaluated) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    counts = {(label, said): count for label, said, count in result.confusion}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("is, and said to be", no_wrap=True)
    for number in range(1, len(shown) + 1):
        table.add_column(str(number), justify="right", no_wrap=True)
    table.add_column("right", justify="right", no_wrap=True)
    for number, label in enumerate(shown, start=1):
        right, total = result.per_class[label]
        cells = [
            Text(str(counts[label, said]), style="bold" if said == label else "")
            if (label, said) in counts
            else Text(".", style="dim")
            for said in shown
        ]
        share = share_words(right / total) if total else "-"
        table.add_row(Text(f"{number:>2} {short(classes[label])}"), *cells, share)
    return table


def _mistakes(classes: Sequence[str], result: DataEvaluated) -> Iterator[str]:
    pairs = [(n, label, said) for label, said, n in result.confusion if label != said]
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    yield f"The {min(MISTAKES, len(pairs))} most frequent mistakes of {len(pairs)}:"
    for count, label, said in pairs[:MISTAKES]:
        total = result.per_class[label][1]
        yield f"  {count} of {total}  {short(classes[label])} taken for {short(classes[said])}"


def _most_wrong(classes: Sequence[str], result: DataEvaluated) -> Iterator[str]:
    wrong = result.total - result.correct
    shown = result.most_wrong[:WRONG]
    which = "All" if len(shown) == wrong else f"{len(shown)} of {wrong}"
    yield f"{which} wrong images, the surest first:"
    for one in shown:
        said, label = short(classes[one.predicted]), short(classes[one.label])
        yield f"  {share_words(one.probability):>4} {said}, is {label}  {one.path}"

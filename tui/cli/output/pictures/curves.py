"""The curves of a run: loss of training batches and validation, and accuracy with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tl_tui.common.metrics import accuracy_words, interval
from tl_tui.runs.journal_lines import ValidatedLine
from tl_tui.runs.run_reader import Run, StartHistory
from tui.cli.output.pictures.figure import COLOURS, GREY, LINES, one_line
from tui.drawing.decimation import Decimation

LOG_RATIO = 50
"""The loss is drawn on a logarithmic axis above this ratio of its largest to its smallest value."""
MARKED = 60
"""The most validations that are drawn as points."""


def curves_figure(run: Run) -> Figure:
    """Return a figure with two panels over the steps, with one curve per start."""
    figure = Figure(figsize=(8, 6.4), layout="constrained")
    loss, accuracy = figure.subplots(2, 1, sharex=True)
    arch = run.config.get("arch") or "?"
    every = [start for start in run.starts if start.losses or start.validations]
    starts = every[-len(COLOURS) :]
    left_out = (
        f", the last {len(starts)} of {len(every)} starts" if len(starts) < len(every) else ""
    )
    title = f"{one_line(run.name)}: {arch}{left_out}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    for start, colour, style in zip(starts, COLOURS, cycle(LINES), strict=False):
        name = "" if len(starts) == 1 else f"start {start.start}, "
        _draw_loss(loss, start, name, colour, style)
        _draw_accuracy(accuracy, start, name, colour, style)
    loss.set_title("Loss")
    values = [loss_ for start in starts for _, loss_ in _finite_losses(start)]
    if values and min(values) > 0 and max(values) / min(values) > LOG_RATIO:
        loss.set_yscale("log")
    accuracy.set_title("Accuracy on all validation images, with its 95 % interval")
    accuracy.set_xlabel("step")
    accuracy.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    classes = run.config.get("classes") or ()
    if classes:
        accuracy.axhline(1 / len(classes), color=GREY, linestyle=":", linewidth=1.2)
        accuracy.annotate(
            "chance",
            (1, 1 / len(classes)),
            xycoords=accuracy.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=GREY,
            annotation_clip=False,
        )
    for axes in (loss, accuracy):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="center left", bbox_to_anchor=(1.07, 0.5), fontsize=9)
        else:
            axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=GREY)
    return figure


def _finite_losses(start: StartHistory) -> list[tuple[int, float]]:
    pairs = [*start.losses, *((line.step, float(line.loss)) for line in start.validations)]
    return [(step, value) for step, value in pairs if math.isfinite(value)]


def _draw_loss(axes: Axes, start: StartHistory, name: str, colour: str, style: str) -> None:
    decimation = Decimation()
    decimation.take(start.losses)  # a loss that is not finite makes a gap
    if decimation.buckets:
        steps = [bucket.step for bucket in decimation.buckets]
        axes.plot(
            steps,
            [bucket.mean for bucket in decimation.buckets],
            color=colour,
            alpha=0.55,
            linewidth=1,
            label=f"{name}training batches",
        )
    validations = [line for line in start.validations if math.isfinite(float(line.loss))]
    if validations:
        axes.plot(
            [line.step for line in validations],
            [float(line.loss) for line in validations],
            color=colour,
            linestyle=style,
            label=f"{name}validation",
            **_markers(validations),
        )


def _draw_accuracy(axes: Axes, start: StartHistory, name: str, colour: str, style: str) -> None:
    lines = [line for line in start.validations if line.total]
    if not lines:
        return
    steps = [line.step for line in lines]
    accuracies = [line.correct / line.total for line in lines]
    low, high = zip(*(interval(line.correct, line.total) for line in lines), strict=True)
    if len(lines) == 1:
        axes.errorbar(
            steps,
            accuracies,
            [[accuracies[0] - low[0]], [high[0] - accuracies[0]]],
            color=colour,
            capsize=3,
            fmt="none",
        )
    axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    last = lines[-1]
    label = f"{name}at the end\n{accuracy_words(last.correct, last.total)}"
    axes.plot(steps, accuracies, color=colour, linestyle=style, label=label, **_markers(lines))


def _markers(validations: Sequence[ValidatedLine]) -> dict[str, Any]:
    return {"marker": "o", "markersize": 4} if len(validations) <= MARKED else {}

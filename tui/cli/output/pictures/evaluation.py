"""The confusion matrix and the reliability diagram of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tl_tui.common.metrics import accuracy_words, interval
from tl_tui.protocol.inference import DataEvaluated, InferenceBegan
from tl_tui.protocol.measures import Measures
from tui.cli.output.pictures.figure import COLOURS, GREY, one_line, picture_name
from tui.drawing.lines import shorten_middle
from tui.text.measures import three_digits

NAMED_CLASSES = 40
"""The most classes whose names are written."""
NUMBERED_CLASSES = 16
"""The most classes whose numbers of images are written into the cells."""
MOST_CELLS = 1000
"""The most rows of a matrix; of more classes, several share a row, which shows the largest cell."""


def evaluation_figure(began: InferenceBegan, result: DataEvaluated) -> Figure:
    """Return a figure with the confusion matrix at the left and the reliability at the right."""
    classes = len(began.classes)
    side = min(11.0, max(4.2, 2.6 + 0.32 * min(classes, NAMED_CLASSES)))
    figure = Figure(figsize=(side + 6, max(5.6, side)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)  # type: ignore[call-arg,union-attr]
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(side + 0.8, 5.2))[0]
    title = (
        f"{began.arch}, step {began.step:,}, on {shorten_middle(one_line(began.source), 60)}: "
        f"{accuracy_words(result.correct, result.total)}"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    _draw_confusion(left.subplots(), began.classes, result)
    if result.measures is not None:
        upper, lower = right.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _draw_reliability(upper, lower, result.measures)
    return figure


def _draw_confusion(axes: Axes, classes: Sequence[str], result: DataEvaluated) -> None:
    step = -(-len(classes) // MOST_CELLS)
    shares = _shares(result, step)
    axes.grid(False)
    axes.set_facecolor("#eeeeee")
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.figure.colorbar(drawn, ax=axes, shrink=0.7, label="share of the class's images")
    axes.set_title("Confusion matrix")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("class")
    if len(classes) <= NAMED_CLASSES:
        names = [picture_name(name) for name in classes]
        upright = max(map(len, names)) * len(names) <= 40
        axes.set_xticks(range(len(names)), names, rotation=0 if upright else 90)
        axes.set_yticks(range(len(names)), names)
    else:
        axes.set_title(f"Confusion matrix, {len(classes):,} classes in the order of their names")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(8, integer=True))
            axis.set_major_formatter(lambda value, _: f"{value * step + 1:.0f}")
    axes.spines[:].set_visible(True)
    if len(classes) <= NUMBERED_CLASSES:
        for label, predicted, images in result.confusion:
            dark = shares[label, predicted] > 0.55
            axes.text(
                predicted,
                label,
                f"{images:,}",
                ha="center",
                va="center",
                color="white" if dark else "black",
                fontsize=10 if len(classes) <= 8 else 8,
            )


def _shares(result: DataEvaluated, step: int) -> np.ndarray:
    """Return the confusion matrix as shares of each class's images; nan without images.

    Args:
        result: The evaluation.
        step: How many classes share a row or column, which shows the largest of their values.
    """
    totals = [total for _, total in result.per_class]
    side = -(-len(totals) // step)
    shares = np.full((side, side), np.nan)
    for label, total in enumerate(totals):
        if total:
            shares[label // step] = np.nan_to_num(shares[label // step])
    for label, predicted, images in result.confusion:
        cell = label // step, predicted // step
        shares[cell] = max(shares[cell], images / totals[label])
    return shares


def _draw_reliability(axes: Axes, below: Axes, measures: Measures) -> None:
    bins = [(number, one) for number, one in enumerate(measures.reliability) if one.images]
    confidence = [one.confidence for _, one in bins]
    accuracy = np.array([one.correct / one.images for _, one in bins])
    intervals = np.array([interval(one.correct, one.images) for _, one in bins])
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.2, label="calibrated")
    axes.errorbar(
        confidence,
        accuracy,
        np.maximum(0, [accuracy - intervals[:, 0], intervals[:, 1] - accuracy]),
        color=COLOURS[0],
        fmt="o",
        capsize=3,
        label="this model, with 95 % intervals",
    )
    axes.set_title(
        f"Reliability: ECE {three_digits(measures.ece)}; a calibrated model\nshows "
        f"{three_digits(measures.ece_calibrated)} on average, at most "
        f"{three_digits(measures.ece_calibrated_high)} in 95 % of cases"
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("accuracy")
    axes.legend(loc="upper left", fontsize=9)
    count = len(measures.reliability)
    edges = np.arange(count) / count
    images = [one.images for one in measures.reliability]
    below.bar(edges, images, width=0.92 / count, align="edge", color=COLOURS[0])
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    below.set_ylabel("images")
    below.set_xlabel("probability of the predicted class")

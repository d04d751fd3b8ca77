"""Pictures of runs and evaluations as SVG or PNG, drawn by matplotlib (the extra `pictures`)."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from tl_tui.common.errors import Problem
from tui.cli.output.output_file import OutputFile

if TYPE_CHECKING:
    from tl_tui.protocol.inference import DataEvaluated, InferenceBegan
    from tl_tui.runs.run_reader import Run

FORMATS = (".svg", ".png")


def check(file: OutputFile) -> None:
    """Check that a picture can be drawn, before the work that it will show.

    Raises:
        Problem: The name has another ending, or matplotlib is not installed.
    """
    if file.path.suffix.lower() not in FORMATS:
        raise Problem(f"{file.option} {file.name}: the name of a picture ends in .svg or .png.")
    if importlib.util.find_spec("matplotlib") is None:
        raise Problem(
            f"{file.option}: matplotlib is not installed, which draws the pictures; "
            "pip install 'tl-tui[pictures]'."
        )


def draw_evaluation(file: OutputFile, began: InferenceBegan, result: DataEvaluated) -> None:
    """Draw the confusion matrix and the reliability diagram of an evaluation."""
    from tui.cli.output.pictures.evaluation import evaluation_figure
    from tui.cli.output.pictures.figure import drawing, save

    with drawing():
        save(file, evaluation_figure(began, result))


def draw_curves(file: OutputFile, run: Run) -> None:
    """Draw the loss and the accuracy of a run over its steps.

    Raises:
        Problem: The run has no steps and no validations.
    """
    from tui.cli.output.pictures.curves import curves_figure
    from tui.cli.output.pictures.figure import drawing, save

    if not any(start.losses or start.validations for start in run.starts):
        raise Problem(f"{file.option}: {run.name} has no steps yet, so there are no curves.")
    with drawing():
        save(file, curves_figure(run))

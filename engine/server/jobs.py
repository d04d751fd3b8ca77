"""Starts jobs on finished runs: predict, evaluate and export. They run in small units of work.

Each job imports torch in its first unit, so that the server can start without it.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.hardware import torch_import
from tl_tui.protocol.commands import EvaluateData, ExportModel, ExportScript, Job, Predict
from tl_tui.protocol.events import AnyEvent


def start_job(command: Job) -> Iterator[AnyEvent | None]:
    """Return an iterator that runs a job, one unit of work per item.

    Yields:
        An event, or None if a unit has nothing to report.

    Raises:
        Problem: (from any unit) the job cannot be done.
    """
    # Another thread may still be importing torch; using it before that ends would fail.
    torch_import.finish_importing()
    match command:  # the imports are part of the first unit
        case Predict():
            from engine.jobs.predict import predict

            yield from predict(command)
        case EvaluateData():
            from engine.jobs.evaluate import evaluate

            yield from evaluate(command)
        case ExportModel():
            from engine.export.model.export import export_model

            yield from export_model(command)
        case ExportScript():
            from engine.export.script.writing import export_script

            yield from export_script(command)
        case _:
            raise NotImplementedError(type(command).__name__)

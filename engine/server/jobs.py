"""Errands: what is done with a finished run, beside any session; one at a time, a unit at a time.

This module imports no torch; the room of each errand does, when it is begun.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.hardware import torch_import
from tl_tui.protocol.commands import EvaluateData, ExportModel, ExportScript, Job, Predict
from tl_tui.protocol.events import AnyEvent


def start_job(command: Job) -> Iterator[AnyEvent | None]:
    """Run a job, one unit per step of the iterator; a unit yields an event or None.

    Raises:
        Problem: at any unit; what was asked for cannot be done.
    """
    # Every job needs torch, and a second thread that imports it would see it half imported.
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

"""Errands: what is done with a finished run, beside any session; one at a time, a unit at a time.

This module imports no torch; the room of each errand does, when it is begun.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.hardware import torch_import
from tl_tui.protocol.commands import Errand, EvaluateData, ExportModel, ExportScript, Predict
from tl_tui.protocol.events import AnyEvent


def begin(command: Errand) -> Iterator[AnyEvent | None]:
    """The units of an errand: each yields what it has to tell, or None.

    Raises:
        Problem: at any unit; what was asked for cannot be done.
    """
    torch_import.finish()  # each needs it, and two threads that import it meet it half imported
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

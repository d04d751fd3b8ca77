"""Errands: what is done with a finished run, beside any session; one at a time, a unit at a time.

This module imports no torch; the room of each errand does, when it is begun.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import torch_import
from .protocol import AnyEvent, Errand, EvaluateData, ExportModel, ExportScript, Predict


def begin(command: Errand) -> Iterator[AnyEvent | None]:
    """The units of an errand: each yields what it has to tell, or None.

    Raises:
        Problem: at any unit; what was asked for cannot be done.
    """
    torch_import.finish()  # each needs it, and two threads that import it meet it half imported
    match command:  # the imports are part of the first unit
        case Predict():
            from .predicting import predict

            yield from predict(command)
        case EvaluateData():
            from .evaluating import evaluate

            yield from evaluate(command)
        case ExportModel():
            from .model_export import export_model

            yield from export_model(command)
        case ExportScript():
            from .export.writing import export_script

            yield from export_script(command)
        case _:
            raise NotImplementedError(type(command).__name__)

"""The fields of a train step in the journal and in `train --json`."""

from __future__ import annotations

from typing import Any

from tl_tui.protocol.layers import RowInfo
from tl_tui.protocol.training import LayerMeasurement, StepTaken


def step_fields(rows: tuple[RowInfo, ...], step: StepTaken) -> dict[str, Any]:
    """Return the fields of a step's line; `layers` only if the step was measured."""
    fields: dict[str, Any] = {
        "step": step.step,
        "loss": step.loss,
        "correct": step.correct,
        "batch": step.batch,
        "seconds": round(step.seconds, 6),
        "lr_factor": round(step.lr_factor, 9),
    }
    if step.captured:
        fields["captured"] = True
    if step.rows:
        fields["layers"] = [
            _layer_fields(row.name, measured) for row, measured in zip(rows, step.rows, strict=True)
        ]
    return fields


def _layer_fields(name: str, measured: LayerMeasurement) -> dict[str, Any]:
    return {
        "name": name,
        "reach": measured.reach,
        "grad_norm": measured.grad_norm,
        "weight_norm": measured.weight_norm,
        "update_ratio": measured.update_ratio,
        "nonfinite": measured.nonfinite,
    }

"""The temperature that an exported model carries, fitted on the run's validation images."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import msgspec
import numpy as np

from engine.checks.image_scores import fit_temperature
from engine.data.samples import ImageFolder
from engine.jobs.inference import compute_logits, make_decoder
from engine.jobs.load import TrainedModel
from tl_tui.common.errors import Problem
from tl_tui.protocol.measures import Temperature, TemperatureMissing

BATCH_SIZE = 32
WHY: dict[TemperatureMissing, str] = {
    "few_wrong": "the model classifies all but one of them correctly, or all",
    "not_found": "no temperature between .01 and 100 has the lowest loss",
}


def fit_on_validation_images(
    trained: TrainedModel, folder: ImageFolder
) -> Generator[None, None, Temperature]:
    """Evaluate a model on validation images, one batch per unit of work, and fit a temperature.

    Args:
        trained: The model.
        folder: The images of the run.

    Raises:
        Problem: None of the images can be read, or no temperature is best.
    """
    labels, logits = [], []
    decoder = make_decoder(trained)
    try:
        for batch in decoder.batches(folder.val, BATCH_SIZE):
            if batch.samples:
                labels.append(batch.labels.numpy())
                logits.append(compute_logits(trained, batch.images).numpy())
            yield
    finally:
        decoder.close()
    if not labels:
        raise Problem(f"--temperature: no validation image of {folder.name} can be read.")
    fitted, missing = yield from fit_temperature(np.concatenate(labels), np.concatenate(logits))
    if fitted is None:
        raise Problem(
            f"--temperature: no temperature can be fitted on the {sum(map(len, labels))} "
            f"validation images of {folder.name}, because {WHY[missing or 'not_found']}; export "
            "without --temperature."
        )
    return fitted


def temperature_entry(fitted: Temperature) -> dict[str, Any]:
    """Return what `model.json` says about a temperature."""
    entry: dict[str, Any] = msgspec.structs.asdict(fitted)
    return {**entry, "fitted_on": "validation images of the run", "applied": False}

"""`tl-tui predict`: what a run's model says to images, a batch a unit."""

from __future__ import annotations

import os
from collections.abc import Iterator

from engine.data.image_folder import images_below
from engine.data.samples import Sample, printable
from engine.hardware.devices import choose_device
from engine.jobs.inference import decoder_of, load_checked_model, logits
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import Predict
from tl_tui.protocol.inference import (
    ImagesPredicted,
    InferenceBegan,
    PredictedImage,
    UnreadableFile,
)

NAMES_A_UNIT = 1000


def predict(command: Predict) -> Iterator[InferenceBegan | ImagesPredicted | None]:
    """Answer all images, in the order in which they were given; a folder's by their paths.

    Raises:
        Problem: there is no such run or no image at all, or the device cannot be used.
    """
    device = choose_device(command.device)
    trained = load_checked_model(command.run, command.checkpoint, device.device)
    yield None
    samples: list[Sample] = []
    for given in command.paths:
        path = os.fsdecode(given)
        if os.path.isdir(path):
            below = []
            for number, name in enumerate(images_below(path)):
                if name is not None:
                    below.append(Sample(name, 0))
                if number % NAMES_A_UNIT == 0:
                    yield None
            samples += sorted(below)
        else:
            samples.append(Sample(path, 0))
    _check_any(command, samples)
    yield InferenceBegan(
        run=str(trained.run),
        checkpoint=str(trained.checkpoint),
        start=trained.about["start"],
        step=trained.about["step"],
        arch=trained.about["arch"],
        classes=trained.classes,
        images=len(samples),
        device=device.label,
        notes=(device.warning,) if device.warning else (),
    )
    decoder = decoder_of(trained)
    try:
        for batch in decoder.batches(samples, command.batch_size):
            answered: tuple[PredictedImage, ...] = ()
            if batch.samples:
                rows = logits(trained, batch.images).softmax(1).tolist()
                answered = tuple(
                    PredictedImage(printable(sample.path), tuple(row))
                    for sample, row in zip(batch.samples, rows, strict=True)
                )
            unreadable = tuple(
                UnreadableFile(printable(sample.path), reason) for sample, reason in batch.skipped
            )
            yield ImagesPredicted(images=answered, unreadable=unreadable)
    finally:
        decoder.close()


def _check_any(command: Predict, samples: list[Sample]) -> None:
    """Refuse what holds no image at all; a name too many among others is told at the end."""
    if not samples:
        named = " ".join(printable(os.fsdecode(path)) for path in command.paths[:3])
        more = f" and {len(command.paths) - 3} more" if len(command.paths) > 3 else ""
        raise Problem(f"There are no images in {named}{more} (jpg, png, webp, bmp, tif …).")
    if not any(os.path.lexists(sample.path) for sample in samples):
        raise Problem(f"{printable(samples[0].path)}: there is no such image or folder.")

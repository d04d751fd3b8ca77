"""`tl-tui predict`: classify images with the model of a run, one batch per unit of work."""

from __future__ import annotations

import os
from collections.abc import Iterator

from engine.data.dataset.image_folder import images_below
from engine.data.samples import Sample, printable
from engine.hardware.devices import choose_device
from engine.jobs.inference import compute_logits, load_checked_model, make_decoder
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import Predict
from tl_tui.protocol.dataset import LeftOut, ValuesClipped
from tl_tui.protocol.inference import (
    ImagesPredicted,
    InferenceBegan,
    PredictedImage,
    UnreadableFile,
)

NAMES_PER_UNIT = 1000
"""File names listed per unit of work."""


def predict(command: Predict) -> Iterator[InferenceBegan | ImagesPredicted | ValuesClipped | None]:
    """Classify images.

    Args:
        command: The run, and the images or folders. The images of a folder are sorted by path.

    Yields:
        The start, then the predictions of each batch in the order given; None after other units.

    Raises:
        Problem: there is no such run, there are no images, or the device cannot be used.
    """
    device = choose_device(command.device)
    trained = load_checked_model(command.run, command.checkpoint, device.device)
    yield None
    samples: list[Sample] = []
    left_out: list[LeftOut] = []
    for raw_path in command.paths:
        path = os.fsdecode(raw_path)
        if os.path.isdir(path):
            in_folder = []
            for number, found in enumerate(images_below(path)):
                if isinstance(found, str):
                    in_folder.append(Sample(found, 0))
                elif found is not None:
                    left_out += found
                if number % NAMES_PER_UNIT == 0:
                    yield None
            samples += sorted(in_folder)
        else:
            samples.append(Sample(path, 0))
    _check_not_empty(command, samples, left_out)
    yield InferenceBegan(
        run=str(trained.run),
        checkpoint=str(trained.checkpoint),
        start=trained.metadata["start"],
        step=trained.metadata["step"],
        arch=trained.metadata["arch"],
        classes=trained.classes,
        images=len(samples),
        device=device.label,
        notes=(device.warning,) if device.warning else (),
        left_out=tuple(left_out),
    )
    decoder = make_decoder(trained)
    try:
        for batch in decoder.batches(samples, command.batch_size):
            predicted: tuple[PredictedImage, ...] = ()
            if batch.samples:
                rows = compute_logits(trained, batch.images).softmax(1).tolist()
                predicted = tuple(
                    PredictedImage(printable(sample.path), tuple(row))
                    for sample, row in zip(batch.samples, rows, strict=True)
                )
            unreadable = tuple(
                UnreadableFile(printable(sample.path), reason) for sample, reason in batch.skipped
            )
            yield ImagesPredicted(images=predicted, unreadable=unreadable)
        if (clipped := decoder.clipped.report()) is not None:
            yield clipped
    finally:
        decoder.close()


def _check_not_empty(command: Predict, samples: list[Sample], left_out: list[LeftOut]) -> None:
    """Raise if there is no image at all. A single missing file is reported with its batch."""
    if not samples:
        named = " ".join(printable(os.fsdecode(path)) for path in command.paths[:3])
        more = f" and {len(command.paths) - 3} more" if len(command.paths) > 3 else ""
        kinds = ", ".join(f"{item.count:,} {item.kind}" for item in left_out[:5])
        besides = f" Left out: {kinds}." if kinds else ""
        raise Problem(
            f"There are no images in {named}{more} (jpg, png, webp, heic, tif …).{besides}"
        )
    if not any(os.path.lexists(sample.path) for sample in samples):
        raise Problem(f"{printable(samples[0].path)}: there is no such image or folder.")

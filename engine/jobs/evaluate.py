"""`tl-tui evaluate`: evaluate a run on labelled images, one batch per unit of work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from engine.checks.evaluation import Evaluation
from engine.checks.image_scores import ImageScores
from engine.data.dataset.image_folder import LabelledImages, list_labelled
from engine.data.samples import printable
from engine.hardware.devices import choose_device
from engine.jobs.inference import compute_logits, load_checked_model, make_decoder
from engine.jobs.load import TrainedModel
from engine.jobs.training_overlap import training_overlap
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import EvaluateData
from tl_tui.protocol.dataset import ValuesClipped
from tl_tui.protocol.inference import (
    DataEvaluated,
    EvaluatedImage,
    InferenceBegan,
    InferenceProgressed,
    UnreadableFile,
)
from tl_tui.runs.run_reader import read_config


def evaluate(
    command: EvaluateData,
) -> Iterator[InferenceBegan | InferenceProgressed | ValuesClipped | DataEvaluated | None]:
    """Evaluate the model of a run on a folder of labelled images.

    Args:
        command: The run, and the folder or labels file.

    Yields:
        The start, the progress after each batch and the results; None after other units.

    Raises:
        Problem: there is no such run, there are no images, or the run does not know a class.
    """
    device = choose_device(command.device)
    trained = load_checked_model(command.run, command.checkpoint, device.device)
    yield None
    labels = Path(command.labels) if command.labels is not None else None
    data = Path(command.data) if command.data is not None else labels.parent if labels else None
    if data is None:
        raise Problem("--data: name a folder that holds one folder per class.")
    columns = command.columns if command.columns is not None else _own_columns(trained, labels)
    for item in list_labelled(data, trained.classes, labels=labels, columns=columns):
        if isinstance(item, LabelledImages):
            labelled = item
        yield None
    notes = [device.warning] if device.warning else []
    notes += [*labelled.findings, *(yield from training_overlap(trained, labelled.samples))]
    yield InferenceBegan(
        run=str(trained.run),
        checkpoint=str(trained.checkpoint),
        start=trained.metadata["start"],
        step=trained.metadata["step"],
        arch=trained.metadata["arch"],
        classes=trained.classes,
        images=len(labelled.samples),
        source=labelled.source,
        device=device.label,
        notes=tuple(notes),
        left_out=labelled.left_out,
    )
    weights = (trained.metadata["start"], trained.metadata["step"], 0)
    classes = len(trained.classes)
    evaluation = Evaluation(weights, 0, classes, scores=ImageScores(classes))
    decoder, done = make_decoder(trained), 0
    try:
        for batch in decoder.batches(labelled.samples, command.batch_size):
            images: tuple[EvaluatedImage, ...] = ()
            if batch.samples:
                logits = compute_logits(trained, batch.images)
                probabilities, predicted = logits.softmax(1).max(1)
                losses = F.cross_entropy(logits, batch.labels, reduction="none")
                paths = [printable(sample.path) for sample in batch.samples]
                evaluation.add(
                    paths,
                    batch.labels.tolist(),
                    predicted.tolist(),
                    probabilities.tolist(),
                    torch.exp(-losses).tolist(),
                    losses.tolist(),
                    logits,
                )
                if command.per_image:
                    rows = (predicted.tolist(), probabilities.tolist(), losses.tolist())
                    images = tuple(
                        EvaluatedImage(*row)
                        for row in zip(paths, batch.labels.tolist(), *rows, strict=True)
                    )
            done += len(batch.samples) + len(batch.skipped)
            unreadable = tuple(
                UnreadableFile(printable(sample.path), reason) for sample, reason in batch.skipped
            )
            yield InferenceProgressed(done=done, unreadable=unreadable, images=images)
        if (clipped := decoder.clipped.report()) is not None:
            yield clipped
    finally:
        decoder.close()
    if not evaluation.total:
        raise Problem(
            f"None of the {len(labelled.samples)} images in {labelled.source} can be read."
        )
    yield from evaluation.measure()
    results = evaluation.results((), stale=False)
    yield DataEvaluated(
        correct=results.correct,
        total=results.total,
        loss=results.loss,
        per_class=results.per_class,
        confusion=results.confusion,
        most_wrong=results.most_wrong,
        measures=results.measures,
    )


def _own_columns(trained: TrainedModel, labels: Path | None) -> str | None:
    """Return the columns that the run used, if this is its labels file."""
    config: dict[str, Any] = read_config(trained.run).get("config") or {}
    own = config.get("labels")
    if labels is None or own is None or os.path.realpath(own) != os.path.realpath(labels):
        return None
    return config.get("columns")

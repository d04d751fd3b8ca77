"""`tl-tui evaluate`: a run's model held against labelled images, a batch a unit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from engine.checks.evaluation import Evaluation
from engine.data.image_folder import LabelledImages, list_labelled
from engine.data.samples import printable
from engine.hardware.devices import choose_device
from engine.jobs.inference import decoder_of, load_checked_model, logits
from engine.jobs.load import TrainedModel
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import EvaluateData
from tl_tui.protocol.inference import (
    DataEvaluated,
    InferenceBegan,
    InferenceProgressed,
    UnreadableFile,
)
from tl_tui.runs.run_reader import read_config


def evaluate(
    command: EvaluateData,
) -> Iterator[InferenceBegan | InferenceProgressed | DataEvaluated | None]:
    """Answer all labelled images of a folder.

    Raises:
        Problem: there is no such run or no such image, or one of a class the run does not know.
    """
    device = choose_device(command.device)
    trained = load_checked_model(command.run, command.checkpoint, device.device)
    yield None
    labels = Path(command.labels) if command.labels is not None else None
    data = Path(command.data) if command.data is not None else labels.parent if labels else None
    if data is None:
        raise Problem("--data: name a folder that holds a folder a class.")
    for found in list_labelled(data, trained.classes, labels=labels):
        if isinstance(found, LabelledImages):
            listed = found
        yield None
    notes = [device.warning] if device.warning else []
    yield InferenceBegan(
        run=str(trained.run),
        checkpoint=str(trained.checkpoint),
        start=trained.about["start"],
        step=trained.about["step"],
        arch=trained.about["arch"],
        classes=trained.classes,
        images=len(listed.samples),
        source=listed.where,
        device=device.label,
        notes=tuple(notes + _seen_before(trained, data, listed)),
    )
    evaluation = Evaluation(
        (trained.about["start"], trained.about["step"], 0), 0, len(trained.classes)
    )
    decoder, done = decoder_of(trained), 0
    try:
        for batch in decoder.batches(listed.samples, command.batch_size):
            if batch.samples:
                said = logits(trained, batch.images)
                sure, predicted = said.softmax(1).max(1)
                losses = F.cross_entropy(said, batch.labels, reduction="none")
                evaluation.add(
                    [printable(sample.path) for sample in batch.samples],
                    batch.labels.tolist(),
                    predicted.tolist(),
                    sure.tolist(),
                    torch.exp(-losses).tolist(),
                    losses.tolist(),
                )
            done += len(batch.samples) + len(batch.skipped)
            unreadable = tuple(
                UnreadableFile(printable(sample.path), reason) for sample, reason in batch.skipped
            )
            yield InferenceProgressed(done=done, unreadable=unreadable)
    finally:
        decoder.close()
    if not evaluation.total:
        raise Problem(f"Not one of {len(listed.samples)} images in {listed.where} can be read.")
    results = evaluation.results((), stale=False)
    yield DataEvaluated(
        correct=results.correct,
        total=results.total,
        loss=results.loss,
        per_class=results.per_class,
        confusion=results.confusion,
        most_wrong=results.most_wrong,
    )


def _seen_before(trained: TrainedModel, data: Path, listed: LabelledImages) -> list[str]:
    """What the run had to do with these images, as far as their folder tells."""
    config: dict[str, Any] = read_config(trained.run).get("config") or {}
    own = config.get("data")
    if own is None or not os.path.isdir(own):
        return []
    root, looked_at = Path(own).resolve(), (data / listed.part).resolve()
    if looked_at == root / "train" or (looked_at == root and not listed.part):
        return ["The run was trained on images of this folder: the accuracy is flattered."]
    if looked_at.parent == root and looked_at.name in ("val", "valid", "validation"):
        if trained.checkpoint.stem == "best":
            return [
                "The run validated on these images and its best checkpoint was chosen by them: the "
                "accuracy is a little flattered."
            ]
    return []

"""How many images of an evaluation the run was trained on or validated with."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import demo_data
from engine.data.dataset.image_folder import list_folder
from engine.data.dataset.repeated_images import RepeatedImages, find_repeated
from engine.data.dataset.resolved_paths import ResolvedPaths
from engine.data.samples import ImageFolder, Sample
from engine.jobs.load import TrainedModel
from engine.session.context import describe_images
from tl_tui.common.errors import Problem
from tl_tui.runs.run_reader import read_config

LISTING_SECONDS = 60.0
"""The longest time for listing the images of the run, in seconds."""


def training_overlap(
    trained: TrainedModel, samples: Sequence[Sample]
) -> Generator[None, None, tuple[str, ...]]:
    """Compare the images of an evaluation with those of the run.

    They are the same if they are the same file, by path or inode, or a copy of it.

    Args:
        trained: The model and its run.
        samples: The images of the evaluation.

    Yields:
        None after each unit of work.

    Returns:
        A sentence that says how many were used for training and for validation, or why this could
        not be checked; nothing if none was used.
    """
    try:
        folder = yield from _list_run_images(trained)
    except (Problem, OSError) as error:
        return (_unchecked(f"the images of the run cannot be listed any more: {error}"),)
    if folder is None:
        return (_unchecked(f"listing the images of the run takes over {LISTING_SECONDS:g} s"),)
    paths = ResolvedPaths()
    train = {paths.resolve(sample.path) for sample in folder.train}
    yield
    val = {paths.resolve(sample.path) for sample in folder.val}
    yield
    own = {*folder.train, *folder.val}
    if own and not any(os.path.exists(sample.path) for sample in own):
        return (_unchecked("the images of the run are not there any more"),)
    trained_on = validated_with = 0
    rest: list[Sample] = []
    for sample in samples:
        path = paths.resolve(sample.path)
        if path in train:
            trained_on += 1
        elif path in val:
            validated_with += 1
        else:
            rest.append(sample)
    yield
    with_train = yield from find_repeated(folder.train, rest)
    trained_on += with_train.repeated
    others = [sample for sample in rest if sample.path not in with_train.paths]
    with_val = yield from find_repeated(folder.val, others)
    validated_with += with_val.repeated
    before = read_config(trained.run).get("images")
    if before and before != (now := describe_images(folder)):
        return (_changed(len(samples), trained_on + validated_with, before, now),)
    selected = trained.checkpoint.stem == "best"
    sentences = _sentence(len(samples), trained_on, validated_with, selected=selected)
    unfinished = [part for part in (with_train, with_val) if part.unfinished()]
    return (*sentences, *_unfinished(len(samples), unfinished))


def _list_run_images(trained: TrainedModel) -> Generator[None, None, ImageFolder | None]:
    """List the images of the run as the run did; return None if that takes too long.

    Raises:
        Problem: They are not there any more, or the run does not record where they were.
    """
    config: dict[str, Any] = read_config(trained.run).get("config") or {}
    if not config:
        raise Problem("the run does not record its data.")
    labels = Path(config["labels"]) if config.get("labels") else None
    data = Path(config["data"]) if config.get("data") else labels.parent if labels else None
    deadline = time.monotonic() + LISTING_SECONDS
    for item in list_folder(
        data or demo_data.images_dir(),
        labels=labels,
        columns=config.get("columns"),
        seed=config.get("seed", 0),
        rules=config["image_rules"],
    ):
        if isinstance(item, ImageFolder):
            return item
        if time.monotonic() > deadline:
            return None
        yield
    raise AssertionError("the last item of a listing is its folder")


def _unchecked(why: str) -> str:
    return (
        "It could not be checked whether the run was trained on these images, because "
        f"{why.rstrip('.')}."
    )


def _changed(images: int, found: int, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return the sentence for a run whose images have changed since it was trained."""
    counts = (
        f"it had {before['train']:,} for training and {before['val']:,} for validation, and now "
        f"there are {now['train']:,} and {now['val']:,}, or their names differ"
    )
    unchecked = _unchecked(f"the images of the run have changed: {counts}")
    return (
        f"{unchecked} {_were(found, images, 'is', 'are')} among those of now."
        if found
        else unchecked
    )


def _sentence(images: int, trained_on: int, validated_with: int, *, selected: bool) -> list[str]:
    """Return how many images the run used, and what that means for the accuracy."""
    if not trained_on and not validated_with:
        return []
    parts = []
    if trained_on:
        parts.append(f"{_were(trained_on, images)} used for training")
    if validated_with and trained_on:
        parts.append(f"{validated_with:,} for validation")
    elif validated_with:
        parts.append(f"{_were(validated_with, images)} used for validation")
    counts = ", ".join(parts)
    if trained_on:
        return [f"{counts}: the accuracy is optimistic."]
    if selected:
        return [
            f"{counts}. The best checkpoint was selected on these images: the accuracy is slightly "
            "optimistic."
        ]
    return [f"{counts}, none for training."]


def _were(count: int, images: int, one: str = "was", many: str = "were") -> str:
    if count == images == 1:
        return f"The image {one}"
    if count == images:
        return f"All {images:,} images {many}"
    return f"{count:,} of the {images:,} images {one if count == 1 else many}"


def _unfinished(images: int, parts: Iterable[RepeatedImages]) -> list[str]:
    """Return a sentence about the comparison that took the longest time, if it was not finished."""
    missing = max((part.validation - part.compared for part in parts), default=0)
    if not missing:
        return []
    return [
        f"{missing:,} of the {images:,} images could not be compared with all images of the run in "
        "time; copies of these under other names may be among them."
    ]

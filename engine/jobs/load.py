"""The model of a run, as one of its checkpoints has it: to predict, to evaluate, to hand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from engine.model import torchvision_models
from engine.model.torchvision_models import Weights
from engine.training import checkpoint
from tl_tui.common.errors import Problem
from tl_tui.runs.journal_writer import CHECKPOINTS
from tl_tui.runs.run_reader import checkpoint_path, find_run, read_config


@dataclass
class TrainedModel:
    """In eval mode, on its device."""

    model: nn.Module
    classes: tuple[str, ...]
    preset: ImageClassification
    """Makes of an image what the model was trained on."""
    image_size: int
    run: Path
    checkpoint: Path
    about: dict[str, Any]
    """What the checkpoint says besides its tensors."""


def load_model(run: str, name: str = "best", device: str | torch.device = "cpu") -> TrainedModel:
    """The model of a run.

    Args:
        run: Its directory, its name, or the beginning of that.
        name: The checkpoint; if there is no `best`, `last` is taken.
        device: Where it goes.

    Raises:
        Problem: there is no such run or checkpoint, or it cannot be read.
    """
    path = find_run(run)
    read_config(path)
    if name == "best" and not (path / CHECKPOINTS / "best.safetensors").exists():
        name = "last"
    file = checkpoint_path(path, name)
    saved = checkpoint.read(file)
    about = saved.about
    # A session that trains in this process draws from the same generators.
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        built = torchvision_models.build(
            about["arch"],
            Weights("random", "", None, None),
            num_classes=len(about["classes"]),
            image_size=about["image_size"],
            seed=0,
        )
    own = built.model.state_dict()
    for key, value in own.items():
        if key not in saved.snapshot.tensors:
            raise Problem(f"{file} does not fit {about['arch']}: {key} is missing.")
        value.copy_(saved.snapshot.tensors[key])
    built.model.to(device).eval()
    return TrainedModel(
        model=built.model,
        classes=tuple(about["classes"]),
        preset=preset_of(about["transform"]),
        image_size=about["image_size"],
        run=path,
        checkpoint=file,
        about=about,
    )


def preset_of(words: dict[str, Any]) -> ImageClassification:
    """The transform from the plain types of `models.transform_words`."""
    mean: Sequence[float] = words["mean"]
    return ImageClassification(
        crop_size=words["crop_size"],
        resize_size=words["resize_size"],
        mean=tuple(mean),
        std=tuple(words["std"]),
        interpolation=InterpolationMode(words["interpolation"]),
        antialias=words["antialias"],
    )

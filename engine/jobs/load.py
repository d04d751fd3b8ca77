"""Loading the trained model of a run from one of its checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from engine.data.conversion.value_ranges import Ranges, ranges_of
from engine.model import torchvision_models
from engine.model.weights import Weights
from engine.training import checkpoint
from tl_tui.common.errors import Problem
from tl_tui.runs.journal_writer import CHECKPOINTS
from tl_tui.runs.run_reader import checkpoint_path, find_run, read_config


@dataclass
class TrainedModel:
    """The model of a run in eval mode, with what is needed to use it."""

    model: nn.Module
    classes: tuple[str, ...]
    preset: ImageClassification
    """The transform from an image to the model's input."""
    image_size: int
    run: Path
    """The run directory."""
    checkpoint: Path
    """The checkpoint's file."""
    metadata: dict[str, Any]
    """The values that are stored in the checkpoint next to its tensors."""

    @property
    def ranges(self) -> Ranges:
        """The ranges by which images with more than 8 bits per pixel are scaled."""
        return ranges_of(self.metadata["transform"])


def load_model(run: str, name: str = "best", device: str | torch.device = "cpu") -> TrainedModel:
    """Load the model of a run.

    Args:
        run: The directory of the run, its name, or the beginning of its name.
        name: The name of the checkpoint. If there is no `best`, `last` is used instead.
        device: The device to move the model to.

    Raises:
        Problem: there is no such run or checkpoint, or it cannot be read.
    """
    path = find_run(run)
    read_config(path)
    if name == "best" and not (path / CHECKPOINTS / "best.safetensors").exists():
        name = "last"
    file = checkpoint_path(path, name)
    saved = checkpoint.read(file)
    metadata = saved.about
    # A session in this process uses the same random generators; leave their state unchanged.
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        built = torchvision_models.build(
            metadata["arch"],
            Weights("random", "", None, None),
            num_classes=len(metadata["classes"]),
            image_size=metadata["image_size"],
            seed=0,
        )
    own = built.model.state_dict()
    for key, value in own.items():
        if key not in saved.snapshot.tensors:
            raise Problem(f"{file} does not match {metadata['arch']}: {key} is missing.")
        value.copy_(saved.snapshot.tensors[key])
    built.model.to(device).eval()
    return TrainedModel(
        model=built.model,
        classes=tuple(metadata["classes"]),
        preset=make_preset(metadata["transform"]),
        image_size=metadata["image_size"],
        run=path,
        checkpoint=file,
        metadata=metadata,
    )


def make_preset(description: dict[str, Any]) -> ImageClassification:
    """Make a transform from its description by `torchvision_models.describe_transform`."""
    mean: Sequence[float] = description["mean"]
    return ImageClassification(
        crop_size=description["crop_size"],
        resize_size=description["resize_size"],
        mean=tuple(mean),
        std=tuple(description["std"]),
        interpolation=InterpolationMode(description["interpolation"]),
        antialias=description["antialias"],
    )

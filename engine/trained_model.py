"""The model of a run, as one of its checkpoints has it: to predict, to evaluate, to hand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from . import checkpoint, models
from .models import Weights
from .problem import Problem
from .run_folder import find_run, read_config


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

    def probabilities(self, images: Tensor) -> Tensor:
        """Probabilities [N, classes] on the host, of images [N, 3, size, size]."""
        device = next(self.model.parameters()).device
        with torch.no_grad():
            return self.model(images.to(device)).float().softmax(1).cpu()


def load(run: str, name: str = "best", device: str | torch.device = "cpu") -> TrainedModel:
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
    folder = path / "checkpoints"
    file = folder / f"{name}.safetensors"
    if not file.exists() and name == "best":
        file = folder / "last.safetensors"
    if not file.exists():
        there = sorted(f.stem for f in folder.glob("*.safetensors"))
        which = f"it has {', '.join(there)}" if there else "it ended before it had saved any"
        raise Problem(f"{path} has no checkpoint {name}; {which}.")
    saved = checkpoint.read(file)
    about = saved.about
    # A session that trains in this process draws from the same generators.
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        built = models.build(
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

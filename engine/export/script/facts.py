"""The facts of a run from which its script is written, as plain values without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tl_tui.protocol.config import MemoryFormat, Recipe
from tl_tui.protocol.session import Cycle


@dataclass(frozen=True)
class Phase:
    """Consecutive steps with the same settings."""

    first: int
    """The first step; the phase ends where the next one begins."""
    trainable: dict[str, float]
    """The base learning rate of each trainable module or single parameter."""
    modes: dict[str, str]
    """The modules in train mode though they are frozen, or in eval mode though they train."""
    recipe: Recipe
    cycle: Cycle

    def same_as(self, other: Phase) -> bool:
        """Return whether a step does the same in both phases."""
        return self._effective_settings() == other._effective_settings()

    def _effective_settings(self) -> tuple[Any, ...]:
        recipe = self.recipe
        return (
            self.trainable,
            self.modes,
            recipe.optimizer,
            recipe.momentum if recipe.optimizer == "sgd" else None,
            recipe.weight_decay,
            recipe.schedule,
            recipe.warmup,
            self.cycle if has_schedule(recipe) else None,
            recipe.augmentation,
            recipe.balance,
            recipe.precision,
        )


def has_schedule(recipe: Recipe) -> bool:
    """Return whether the learning rates change from step to step."""
    return recipe.schedule != "constant" or recipe.warmup > 0


@dataclass
class ModelFacts:
    """The model, its initial weights, and the phases of its training."""

    arch: str
    options: dict[str, Any]
    """Arguments of torchvision's model builder, without the weights."""
    enum: str
    """The weights class of torchvision, such as `ResNet18_Weights`; empty for other weights."""
    entry: str
    """The member of that class, such as `IMAGENET1K_V1`; empty for other weights."""
    head: str
    """Path of the new head, such as `fc` or `classifier.1`."""
    transform: dict[str, Any]
    """The transform of the run, as described by `torchvision_models.describe_transform`."""
    default_transform: dict[str, Any]
    """The transform of the weights without any options."""
    is_random: bool
    """Whether layers such as dropout draw random numbers in train mode."""
    has_batchnorm: bool
    """Whether layers keep running statistics."""
    all_names: tuple[str, ...]
    """The names that `Phase.trainable` has if the whole model is trained."""
    single_parameters: bool
    """Whether some names in `Phase.trainable` are parameters instead of modules."""
    phases: list[Phase]
    restored: dict[int, list[str]] = field(default_factory=dict)
    """The modules that were restored to their initial values, by the step after which it was."""


@dataclass
class DataSection:
    """The lines of a script that list its images."""

    settings: list[str]
    """The settings at the top of the script, such as the folder and the classes."""
    code: list[str]
    """The lines that define `train` and `val`, lists of (path, label)."""
    imports: set[str] = field(default_factory=set)
    listing: str = ""
    """The contents of a file that lists the images; empty if the script does not need one."""


@dataclass
class RunFacts:
    """All facts of a run."""

    script: str
    """File name of the script."""
    name: str
    """Name of the run."""
    version: str
    """Version of tl-tui that trained the run."""
    date: str
    """Date of the run."""
    device: str
    """cpu, cuda or mps."""
    memory_format: MemoryFormat
    deterministic: bool
    threads: int
    """The number of threads with which the CPU computed an operation."""
    seed: int
    classes: tuple[str, ...]
    batch_size: int
    train_images: int
    """The number of training images that batches are made of."""
    full_batches: bool
    """Whether unreadable images are left out before batches are made. Version 0.1.0 left them out
    of the batches, which were smaller then."""
    batches_per_epoch: int
    steps: int
    random_weights: bool
    weights_file: str
    """Name of the file with the initial weights, next to the script; empty if there is none."""
    listing_file: str
    """Name of the file that lists the images, next to the script, if one is needed."""
    ranges: dict[str, tuple[float, float]]
    """The ranges by which images with more than 8 bits per pixel are scaled."""
    plain_images: bool
    """Whether every image only has to be turned upright and converted to RGB."""
    heif: bool
    """Whether some images are in the HEIF format, which Pillow reads through pillow-heif."""
    unreadable: list[str]
    """Absolute paths of the images that could not be read."""
    model: ModelFacts
    calibration_batches: int
    """Number of batches from which the BatchNorm statistics of random weights are estimated."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the docstring of the script."""

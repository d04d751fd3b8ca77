"""What a script is written from: plain values, so that the writing needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tl_tui.protocol.config import MemoryFormat, Recipe
from tl_tui.protocol.session import Cycle


@dataclass(frozen=True)
class Phase:
    """Steps in a row that are taken with the same settings."""

    first: int
    """Its first step; it lasts to the next one's."""
    trains: dict[str, float]
    """What trains, each module (or single parameter) at its base learning rate."""
    modes: dict[str, str]
    """Modules whose mode, train or eval, is not what `trains` says."""
    recipe: Recipe
    cycle: Cycle

    def same_as(self, other: Phase) -> bool:
        """Nothing of what a step does differs."""
        return self._compared() == other._compared()

    def _compared(self) -> tuple[Any, ...]:
        recipe = self.recipe
        return (
            self.trains,
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
    """The rates change from step to step."""
    return recipe.schedule != "constant" or recipe.warmup > 0


@dataclass
class ModelFacts:
    """The model, its start, and what its steps did."""

    arch: str
    options: dict[str, Any]
    """For torchvision's builder, besides the weights."""
    enum: str
    """torchvision's class of the weights, such as `ResNet18_Weights`; empty if they are others."""
    entry: str
    head: str
    """Path of the new head, such as `fc` or `classifier.1`."""
    transform: dict[str, Any]
    """Of `models.transform_words`."""
    usual_transform: dict[str, Any]
    """What the entry's own transform is without any options."""
    draws: bool
    """It has layers, such as dropout, that draw random numbers in train mode."""
    keeps_statistics: bool
    """It has BatchNorms."""
    everything: tuple[str, ...]
    """The names in `Phase.trains` that together are the whole model."""
    single_parameters: bool
    """Some of the names in `Phase.trains` are not of modules, but of parameters."""
    phases: list[Phase]
    returned: dict[int, list[str]] = field(default_factory=dict)
    """After which step which modules' own tensors were put back to the start's."""


@dataclass
class ImageFacts:
    """What has to be done to the images of a run before the transform; most need nothing."""

    transparent: bool = False
    deep: bool = False
    """Some have 16 bits."""
    strips: bool = False
    """Some are far longer than wide."""
    unusual: str = ""
    """One that a script cannot read as the run did, with what it is."""


@dataclass
class DataSection:
    """What a script says of its images."""

    settings: list[str]
    """Lines that name the data; they go on top."""
    code: list[str]
    """Lines that list it: they define `train` and `val`, lists of (path, label)."""
    imports: set[str] = field(default_factory=set)
    listing: str = ""
    """The file beside the script, if there has to be one."""


@dataclass
class RunFacts:
    """All of it."""

    script: str
    """Name of the script's file."""
    name: str
    version: str
    """Of tl-tui."""
    date: str
    device: str
    """cpu, cuda or mps."""
    memory_format: MemoryFormat
    deterministic: bool
    seed: int
    classes: tuple[str, ...]
    batch_size: int
    train_images: int
    batches_per_epoch: int
    steps: int
    starts: int
    random_weights: bool
    weights_file: str
    """Name of the file with the starting weights, beside the script; empty if there is none."""
    listing_file: str
    """Name of the file that lists the images, beside the script, should it be needed."""
    images: ImageFacts
    unreadable: list[str]
    """Paths as the script has them."""
    model: ModelFacts
    calibration_batches: int
    notes: list[str] = field(default_factory=list)

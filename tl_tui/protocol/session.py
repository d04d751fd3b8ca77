"""What a screen is told of a session when it is ready: the whole of its state."""

from __future__ import annotations

import msgspec

from tl_tui.protocol.config import Precision, Recipe
from tl_tui.protocol.layers import NormMode, StackInfo


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the schedule: from warm-up to its floor. `settings.schedule` gives the factor."""

    after_step: int
    """It begins with the step after this one."""
    steps: int
    """Its horizon; from there on the rate stays at the floor."""


class PlanPhase(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """Such as `head` or `last stage`."""
    trainable: tuple[int, ...]
    after_step: int
    """It begins with the step after this one."""
    steps: int
    epoch: int
    """The plan's epoch in which it begins, from 1."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Strategies over time, laid out in steps of this start."""

    name: str
    phases: tuple[PlanPhase, ...]


class SessionOpened(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The whole state of a session, sent when it is ready and to every screen that attaches."""

    arch: str
    weights: str
    """The label of the weights, such as `ImageNet V1` or `random`."""
    weights_why: str
    """Why these weights, in a sentence; empty if they are what was asked for."""
    weights_cause: str = ""
    """Why a download of weights failed, in a few words such as `timed out`; empty otherwise."""
    pretrained: bool
    data: str
    """Name of the data set, such as `hot dog`."""
    classes: tuple[str, ...]
    train_images: int
    val_images: int
    chance: float
    """Accuracy of guessing the most frequent class of the yardstick images, 0 to 1."""
    majority_class: int
    """Index of the most frequent class of the validation images."""
    majority: int
    """How many validation images are of it: what guessing it gets right."""
    yardstick: int
    """How many fixed validation images the yardstick takes (at most 64)."""
    device: str
    """Such as `cuda:0 H200` or `cpu`."""
    device_warning: str
    """Why a GPU that is there cannot be used; empty otherwise. Shown all the time."""
    memory_total: int | None
    """Bytes; None on the CPU."""
    image_size: int
    batch_size: int
    recipe: Recipe
    rates: tuple[float, ...]
    """Base learning rate of each row; the schedule multiplies them."""
    batches_per_epoch: int
    cycle: Cycle
    plan: Plan | None
    precisions: tuple[Precision, ...]
    """What the device has."""
    seed: int
    run_dir: str
    stack: StackInfo
    strategies: dict[str, tuple[int, ...]]
    """Trainable owners of each strategy, by name, in the order of the keys 1 to 5."""
    strategy: str | None
    """The strategy the session starts with; None if the mask was given by name."""
    wanted: tuple[int, ...]
    norm_modes: dict[int, NormMode]
    """BatchNorms whose mode was switched by hand, by owner."""
    start: int
    """How many times the session was started over."""
    step: int
    skipped_images: int
    notes: tuple[str, ...]
    """Sentences the user must see once: calibration, V2 weights, skipped images."""

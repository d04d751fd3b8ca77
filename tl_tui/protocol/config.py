"""What a run is made from: the user's choices before it opens, and its training recipe."""

from __future__ import annotations

from typing import Literal

import msgspec

Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["constant", "cosine", "one-cycle"]
Augmentation = Literal["none", "light", "standard"]
Precision = Literal["fp32", "bf16"]
PlanName = Literal["lp-ft", "gradual"]
Execution = Literal["auto", "eager", "captured"]
MemoryFormat = Literal["contiguous", "channels-last"]
FeatureCaching = Literal["on", "off", "half"]
ModelFormat = Literal["safetensors", "pth", "onnx"]


class RunConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for; None leaves the choice to `settings.defaults`."""

    data: str | None = None
    """Image folder; None is the embedded demo."""
    labels: str | None = None
    """CSV file with the columns path and label; paths are relative to the image folder."""
    arch: str = "resnet18"
    weights: str = "auto"
    """auto, default, demo, none, the name of a torchvision weights entry, or a file."""
    strategy: str | None = None
    trainable: tuple[str, ...] | None = None
    """Layers, stages or modules by name; overrides the strategy."""
    plan: PlanName | None = None
    """Strategies over time; overrides the strategy."""
    plan_epochs: int | None = None
    """Epochs of each phase of the plan but the last."""
    device: str = "auto"
    batch_size: int | None = None
    image_size: int | None = None
    optimizer: Optimizer | None = None
    lr: float | None = None
    """Of the head."""
    lr_pretrained: float | None = None
    """Of the pretrained layers; None is a tenth of the head's."""
    lr_decay: float | None = None
    """Every row below the highest pretrained one learns at this factor of the row above it."""
    momentum: float | None = None
    weight_decay: float | None = None
    lr_schedule: Schedule | None = None
    warmup: float | None = None
    """Share of the schedule's steps over which the rate rises, 0 to 1."""
    epochs: int | None = None
    """The schedule's horizon."""
    steps: int | None = None
    """The schedule's horizon in steps; overrides the epochs."""
    augmentation: Augmentation | None = None
    balance: bool = False
    """Draw the images of each epoch so that every class is as frequent as any other."""
    precision: Precision | None = None
    folds: int | None = None
    """For cross-validation: the number of splits."""
    execution: Execution = "auto"
    """How the steps of a run are executed: captured replays them from CUDA graphs; auto does where
    there is a CUDA device."""
    memory_format: MemoryFormat = "contiguous"
    """Of weights and activations."""
    feature_cache: FeatureCaching = "on"
    """Run a frozen prefix once an image in a run of steps; half keeps activations in fp16."""
    feature_cache_gib: float | None = None
    """Memory for it; None is a fourth of what is free. What does not fit goes to a file."""
    checkpoint_seconds: float = 0.0
    """Where epochs are shorter than this, not each one ends with a checkpoint."""
    seed: int = 0
    probe_every: int = 10
    checkpoint_every: int | None = None
    """Steps between two checkpoints within an epoch; None saves at the ends of epochs alone."""
    tensorboard: bool = False
    """Also write scalars and per-layer norms as TensorBoard files into the run directory."""
    run_dir: str | None = None
    deterministic: bool = False
    describe_only: bool = False
    """Only the stack is wanted (`tl-tui layers`): no warm-up, no run directory."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a run trains: everything that can be changed between two steps, the mask aside."""

    optimizer: Optimizer = "sgd"
    lr_head: float
    """Base rate of the new head; the schedule multiplies it."""
    lr_pretrained: float
    """Base rate of the highest pretrained row."""
    lr_decay: float = 1.0
    """Each pretrained row learns at this factor of the row above it."""
    momentum: float = 0.9
    """Of SGD; AdamW's betas are PyTorch's own."""
    weight_decay: float
    schedule: Schedule = "constant"
    warmup: float = 0.0
    """Share of the horizon over which the rate rises, 0 to 1."""
    epochs: int = 10
    """The schedule's horizon."""
    augmentation: Augmentation = "none"
    balance: bool = False
    precision: Precision = "fp32"

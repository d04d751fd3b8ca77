"""What a run is made from: the options it is opened with, and its training recipe."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["constant", "cosine", "one-cycle"]
Augmentation = Literal["none", "light", "standard"]
Precision = Literal["fp32", "bf16"]
PlanName = Literal["lp-ft", "gradual"]
Execution = Literal["auto", "eager", "captured"]
MemoryFormat = Literal["contiguous", "channels-last"]
FeatureCaching = Literal["on", "off", "half"]
ModelFormat = Literal["safetensors", "pth", "onnx"]
IMAGE_RULES = 2
"""The current value of `RunConfig.image_rules`."""


class RunConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the user chose for a run; None leaves the choice to `settings.defaults`.

    Each description is also the help of the command-line option with the same name.
    """

    data: Annotated[
        str | None,
        Meta(
            description="Image folder: DIR/train/CLASS/ and DIR/val/CLASS/, or DIR/CLASS/ alone, "
            "from which a fifth of the images is kept for validation. The default is the embedded "
            "demo (hot dog or not)."
        ),
    ] = None
    labels: Annotated[
        str | None,
        Meta(
            description="CSV file with a path (relative to the image folder) and a label in each "
            "row, and perhaps a split (train, val or test); it replaces the class folders. Needs "
            "an image folder."
        ),
    ] = None
    columns: Annotated[
        str | None,
        Meta(
            description="Columns of the labels file, such as path=img,label=kind,split=set: names, "
            "or numbers counted from 1. By default they are found by their usual names; split= "
            "uses none as the split."
        ),
    ] = None
    arch: Annotated[
        str,
        Meta(
            description="torchvision model: resnet18 (default) to resnet152, resnext50_32x4d, "
            "wide_resnet50_2, ..."
        ),
    ] = "resnet18"
    weights: Annotated[
        str,
        Meta(
            description="Initial weights: auto (default), default, demo, none (random), an entry "
            "such as IMAGENET1K_V1, a file, or a folder with one. auto uses the model's default "
            "entry. If that is unavailable, only the embedded demo continues, with its demo "
            "weights for resnet18 and random weights otherwise, and reports it."
        ),
    ] = "auto"
    strategy: Annotated[
        str | None,
        Meta(
            description="Layers to train: feature-extraction (only the head; default with "
            "pretrained weights), last-stage, last-two-stages, full (all; default with random "
            "weights) or bn-only (BatchNorm layers and the head)."
        ),
    ] = None
    trainable: Annotated[
        tuple[str, ...] | None,
        Meta(
            description="Names of the layers, stages or modules to train, separated by commas, "
            "such as layer2,fc; overrides the strategy."
        ),
    ] = None
    plan: Annotated[
        PlanName | None,
        Meta(
            description="Change the strategy during training: lp-ft (first the head, then all "
            "layers) or gradual (one more stage per phase, from the top)."
        ),
    ] = None
    plan_epochs: Annotated[
        int | None,
        Meta(
            description="Epochs in each phase of the plan except the last; 1 by default with "
            "gradual, half of all epochs with lp-ft."
        ),
    ] = None
    device: Annotated[
        str, Meta(description="Device to use: auto (default), cpu, cuda, cuda:N or mps.")
    ] = "auto"
    batch_size: Annotated[
        int | None,
        Meta(
            description="Images per training step, at least 2; 32 by default, 16 with pretrained "
            "weights on the CPU, fewer if there are few images."
        ),
    ] = None
    image_size: Annotated[
        int | None,
        Meta(
            description="Side length in pixels of the images that the model sees, at least 32. The "
            "default depends on the weights and the device."
        ),
    ] = None
    optimizer: Annotated[
        Optimizer | None, Meta(description="Optimizer: sgd (default) or adamw.")
    ] = None
    lr: Annotated[
        float | None,
        Meta(
            description="Learning rate of the new head; 0.01 by default, 0.003 with random "
            "weights, 0.001 with adamw."
        ),
    ] = None
    lr_pretrained: Annotated[
        float | None,
        Meta(
            description="Learning rate of the highest pretrained layer; by default a tenth of the "
            "head's, or the same with random weights."
        ),
    ] = None
    lr_decay: Annotated[
        float | None,
        Meta(
            description="Layer-wise learning rate decay: the rate of each pretrained layer is this "
            "factor times that of the layer above it, 0 to 1; 1 by default."
        ),
    ] = None
    momentum: Annotated[
        float | None, Meta(description="Momentum of sgd, 0 to 0.9999; 0.9 by default.")
    ] = None
    weight_decay: Annotated[
        float | None, Meta(description="Weight decay (L2 penalty); 0.0001 by default.")
    ] = None
    lr_schedule: Annotated[
        Schedule | None,
        Meta(description="Learning rate schedule: constant (default), cosine or one-cycle."),
    ] = None
    warmup: Annotated[
        float | None,
        Meta(
            description="Fraction of the steps during which the learning rates first rise, 0 to "
            "0.9; 0 by default, 0.3 with one-cycle."
        ),
    ] = None
    epochs: Annotated[
        int | None,
        Meta(
            description="Number of passes over the training images; 10 by default. The learning "
            "rate schedule spans all of them."
        ),
    ] = None
    steps: Annotated[
        int | None, Meta(description="Number of training steps; replaces the number of epochs.")
    ] = None
    augmentation: Annotated[
        Augmentation | None,
        Meta(
            description="Random augmentation of the training images: none (default), light or "
            "standard."
        ),
    ] = None
    balance: Annotated[
        bool,
        Meta(
            description="Draw images of rare classes more often, so that every class is drawn "
            "equally often."
        ),
    ] = False
    precision: Annotated[
        Precision | None,
        Meta(description="fp32 (default), or bf16 autocast on devices that support it."),
    ] = None
    folds: Annotated[
        int | None,
        Meta(
            description="Cross-validate: train and validate K times, each time on a different "
            "split of all images."
        ),
    ] = None
    execution: Annotated[
        Execution,
        Meta(
            description="How to execute the steps of a run: eager launches every kernel, captured "
            "replays CUDA graphs, auto (default) captures on CUDA devices."
        ),
    ] = "auto"
    memory_format: Annotated[
        MemoryFormat,
        Meta(
            description="Memory format of weights and activations: contiguous (default), or "
            "channels-last, which is faster on GPUs with bf16."
        ),
    ] = "contiguous"
    feature_cache: Annotated[
        FeatureCaching,
        Meta(
            description="In a run, compute the output of the frozen layers once per image and "
            "reuse it: on (default), off, or half (stored as fp16, which takes half the memory and "
            "changes the results slightly)."
        ),
    ] = "on"
    feature_cache_gib: Annotated[
        float | None,
        Meta(
            description="Memory for the feature cache in GiB; by default a quarter of the free "
            "memory. What does not fit is stored in a file."
        ),
    ] = None
    checkpoint_seconds: Annotated[
        float,
        Meta(
            description="Minimum time in seconds between the checkpoints at the ends of epochs; 0 "
            "by default, which saves after every epoch."
        ),
    ] = 0.0
    seed: Annotated[
        int,
        Meta(
            description="Random seed for the head, split, image order and augmentation; 0 by "
            "default."
        ),
    ] = 0
    probe_every: Annotated[
        int,
        Meta(
            description="Measure all layers at every K-th step; 10 by default, 1 with train --json."
        ),
    ] = 10
    checkpoint_every: Annotated[
        int | None,
        Meta(
            description="Also save a checkpoint every STEPS steps; by default only at the end of "
            "each epoch."
        ),
    ] = None
    tensorboard: Annotated[
        bool,
        Meta(
            description="Also write TensorBoard files into the run directory (needs pip install "
            "tensorboardX)."
        ),
    ] = False
    run_dir: Annotated[
        str | None,
        Meta(
            description="Folder for the run's journal, checkpoints, configuration and log; by "
            "default a new one under $XDG_STATE_HOME/tl-tui/runs."
        ),
    ] = None
    deterministic: Annotated[
        bool,
        Meta(
            description="Use deterministic algorithms: identical results on CUDA too, but slower."
        ),
    ] = False
    image_rules: int = IMAGE_RULES
    """The rules by which the images of a folder are found, recorded so that a run is resumed with
    the images that it began with. 1: those of version 0.1.0, which knew the folders train, val,
    valid and validation only in lower case, judged files by their endings and knew no system
    folders. 2: the current ones."""
    describe_only: bool = False
    """Whether only the layer stack is needed (`tl-tui layers`): no warm-up, no run directory."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a run trains: everything except the mask that can change between two steps."""

    optimizer: Optimizer = "sgd"
    lr_head: float
    """Base learning rate of the new head; the schedule multiplies it."""
    lr_pretrained: float
    """Base learning rate of the last pretrained row."""
    lr_decay: float = 1.0
    """Factor between the base rates of a pretrained row and the row above it."""
    momentum: float = 0.9
    """Momentum of SGD; AdamW uses PyTorch's default betas."""
    weight_decay: float
    schedule: Schedule = "constant"
    warmup: float = 0.0
    """Share of the schedule's steps during which the learning rate rises, 0 to 1."""
    epochs: int = 10
    """The number of epochs that the schedule covers."""
    augmentation: Augmentation = "none"
    balance: bool = False
    """Whether images of rare classes are drawn more often, so that all classes are equally
    frequent."""
    precision: Precision = "fp32"

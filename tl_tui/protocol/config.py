"""What a run is made from: the options it is opened with, and its training recipe."""

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
    """The options that a run is opened with; None leaves the choice to `settings.defaults`."""

    data: str | None = None
    """Image folder: DIR/train/CLASS/ and DIR/val/CLASS/, or DIR/CLASS/ alone, of which a fifth is
    kept for validation. Default: the embedded hot dog / not hot dog images."""
    labels: str | None = None
    """CSV file with the columns path and label, which takes the place of class folders. Paths are
    relative to the image folder."""
    arch: str = "resnet18"
    """Name of a torchvision classification model. Default: resnet18."""
    weights: str = "auto"
    """Initial weights: auto, default, demo, none (random), the name of a torchvision entry such as
    IMAGENET1K_V1, or a file. auto (the default) uses torchvision's default entry. If that cannot be
    loaded and the data is the embedded demo, auto uses the demo weights for resnet18 and random
    weights for other models."""
    strategy: str | None = None
    """Which layers to train: feature-extraction (only the head), last-stage, last-two-stages, full
    (everything) or bn-only (the BatchNorms and the head). Default: feature-extraction with
    pretrained weights, full with random weights."""
    trainable: tuple[str, ...] | None = None
    """Names of the layers, stages or modules to train, such as layer2 and fc. Overrides the
    strategy."""
    plan: PlanName | None = None
    """Change over time which layers train: lp-ft (the head, then everything) or gradual (the head,
    then one more stage per phase, from the top). Overrides the strategy."""
    plan_epochs: int | None = None
    """Number of epochs in each phase of the plan except the last. Default: 1 for gradual, half of
    all epochs for lp-ft."""
    device: str = "auto"
    """Device to train on: auto, cpu, cuda, cuda:N or mps. Default: auto."""
    batch_size: int | None = None
    """Number of images per step, at least 2. Default: 32, or 16 with pretrained weights on the
    CPU."""
    image_size: int | None = None
    """Side length of the model's input images in pixels, at least 32. Default on a GPU: the size
    that belongs to the pretrained weights, or 128 with random weights. Default on the CPU: 128, or
    64 with random weights."""
    optimizer: Optimizer | None = None
    """Optimizer: sgd or adamw. Default: sgd."""
    lr: float | None = None
    """Base learning rate of the new head. Default: 0.01 with pretrained weights, 0.003 with random
    weights, 0.001 with adamw."""
    lr_pretrained: float | None = None
    """Base learning rate of the last pretrained layer. Default: a tenth of the head's with
    pretrained weights, the head's with random weights."""
    lr_decay: float | None = None
    """Layer-wise learning-rate decay, 0 to 1: the base rate of each pretrained layer is this factor
    times the rate of the layer above it. Default: 1, the same rate for all."""
    momentum: float | None = None
    """Momentum of sgd, 0 to 0.9999. Default: 0.9."""
    weight_decay: float | None = None
    """Weight decay (L2 penalty). Default: 0.0001."""
    lr_schedule: Schedule | None = None
    """Learning-rate schedule: constant, cosine or one-cycle. Default: constant."""
    warmup: float | None = None
    """Share of the schedule's steps during which the learning rate rises to its base value, 0 to
    0.9. Default: 0, or 0.3 for one-cycle."""
    epochs: int | None = None
    """Number of epochs to train, which is also the length of the schedule. Default: 10, or as
    many as the plan needs."""
    steps: int | None = None
    """Number of steps to train, which is also the length of the schedule. Overrides the epochs."""
    augmentation: Augmentation | None = None
    """Random changes of training images: none, light (flips, small shifts and changes of size) or
    standard (flips, random crops, and changes of colour). Default: none."""
    balance: bool = False
    """Draw images of rare classes more often, so that all classes are equally frequent in training.
    Default: off."""
    precision: Precision | None = None
    """Precision of the forward and backward pass: fp32, or bf16 (autocast) if the device supports
    it. Default: fp32."""
    folds: int | None = None
    """Cross-validate with this number of folds, at least 2: train and validate once per fold, each
    time on another split of all images. Default: no cross-validation."""
    execution: Execution = "auto"
    """How training executes its steps: captured replays them from CUDA graphs, eager launches every
    kernel from Python. auto (the default) uses captured on CUDA and eager elsewhere."""
    memory_format: MemoryFormat = "contiguous"
    """Memory format of weights and activations: contiguous, or channels-last, which is faster on
    GPUs with bf16. Default: contiguous."""
    feature_cache: FeatureCaching = "on"
    """Whether training runs the frozen layers below the trainable ones only once per image and
    caches their output: on, off, or half (cached in fp16: half the memory, slightly different
    numbers). Default: on."""
    feature_cache_gib: float | None = None
    """Memory for the feature cache in GiB; what does not fit is cached in a file in the run
    directory. Default: a fourth of the free memory."""
    checkpoint_seconds: float = 0.0
    """Shortest time in seconds between two checkpoints at the ends of epochs. Default: 0, a
    checkpoint after every epoch."""
    seed: int = 0
    """Random seed for the head, split, image order and augmentation. Default: 0."""
    probe_every: int = 10
    """Measure every layer at each K-th step of training. Default: 10, or 1 with train --json."""
    checkpoint_every: int | None = None
    """Also save a checkpoint every so many steps. Default: only at the ends of epochs."""
    tensorboard: bool = False
    """Also write loss, accuracy, learning rates and the norms of every layer as TensorBoard files
    into the run directory; needs tensorboardX. Default: off."""
    run_dir: str | None = None
    """Directory for the run's journal, configuration, checkpoints and log. Default: a new directory
    under $XDG_STATE_HOME/tl-tui/runs."""
    deterministic: bool = False
    """Use deterministic algorithms, so that runs on CUDA repeat bit for bit; slower. Default:
    off."""
    describe_only: bool = False
    """Whether only the layer stack is needed (`tl-tui layers`), without warm-up and run directory.
    Not an option."""


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

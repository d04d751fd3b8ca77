"""Events about train steps, validation, checkpoints and skipped images."""

from __future__ import annotations

from typing import Literal

import msgspec

from tl_tui.protocol.layers import Reach

EndReason = Literal["done", "paused", "failed"]
"""Why training or a cross-validation ended. done: it reached its last step. paused: the user
stopped it. failed: a step could not be applied."""


class LayerMeasurement(msgspec.Struct, frozen=True, array_like=True):
    """What one backward pass did at a row or at one of its owners. Norms are L2."""

    reach: Reach
    grad_norm: float | None
    """Norm of the gradients of the trainable parameters; None if they received none."""
    weight_norm: float
    """Norm of all parameters before the step."""
    update_ratio: float | None
    """Norm of the change of the trainable weights, divided by their norm before the step."""
    nonfinite: int
    """The number of gradient elements that are NaN or infinite."""
    arrival_ms: float | None
    """When the gradient arrived at the output, from the start of backward; None if it did not."""


class StepTaken(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A train step was taken. A measured step has measurements for each row and owner."""

    start: int
    step: int
    """Counted from 1 after every start over."""
    epoch: int
    """Counted from 1."""
    loss: float
    correct: int
    """The number of images in the batch that were classified correctly."""
    batch: int
    """The number of images in the batch."""
    seconds: float
    mask: tuple[int, ...]
    """The trainable owners in this step."""
    forward_ms: float | None = None
    backward_ms: float | None = None
    update_ms: float | None = None
    rows: tuple[LayerMeasurement, ...] = ()
    """One entry per row; empty if the step was not measured."""
    owners: tuple[LayerMeasurement, ...] = ()
    """One entry per owner; empty if the step was not measured."""
    memory_used: int | None = None
    """Peak bytes of allocated device memory during the step; None on the CPU."""
    cached_rows: int = 0
    """The number of rows, counted from the input, that were not executed because the feature cache
    had their activations for the whole batch."""
    captured: bool = False
    """Whether the forward and backward pass were replayed from a CUDA graph."""
    lr_factor: float = 1.0
    """The factor by which the schedule multiplied every base rate."""
    seconds_left: float | None = None
    """The estimated time to the end of the current `Train`, validations included; None for a
    single step."""


class FeatureCacheReported(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The state of the feature cache."""

    rows: int
    """The number of rows, counted from the input, that are executed only once per image; 0 if
    nothing is cached."""
    cut: str = ""
    """The layer whose output is cached."""
    images: int = 0
    """The number of cached images."""
    total: int = 0
    """The number of training and validation images."""
    memory_bytes: int = 0
    """Bytes on the device."""
    file_bytes: int = 0
    """Bytes in a file in the run directory."""
    hits: int = 0
    """The number of times in this session that an image's activations came from the cache."""
    misses: int = 0
    """The number of times in this session that they had to be computed."""
    reason: str = ""
    """Why nothing, or nothing more, is cached; empty otherwise."""
    start: int = 0
    step: int = 0
    """The numbers are those after this step."""


Remedy = Literal["rates", "weights", "images", "cache"]
"""What to change after a step with a value that is not finite: lower learning rates, other initial
weights, the images, or doing without the feature cache."""


class StepNotApplied(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A step failed and was undone.

    Weights, buffers, optimizer, random state and batch position are as before the step. Training,
    if it was running, has ended.
    """

    id: int
    """The id of the `Step` command; 0 during `Train`."""
    start: int
    step: int
    """The number that the step would have had."""
    sentence: str
    """What happened, where, and what to do, without naming keys."""
    memory: bool
    """Whether memory ran out; otherwise the loss or a gradient is not finite."""
    loss: float | None = None
    row: int | None = None
    """The first row with a value that is not finite; None if it is not known."""
    remedy: Remedy | None = None
    """What to change after a value that is not finite; None if memory ran out."""
    needed: int | None = None
    """Bytes that the step was predicted to need; None if unknown."""
    available: int | None = None
    """Bytes that were free before the step."""
    trainable: tuple[int, ...] | None = None
    """A smaller mask that is predicted to fit; None if there is none."""
    batch_size: int | None = None
    """A smaller batch size that is predicted to fit; using it takes a new run."""


class Validated(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The weights after `step` were evaluated on validation images."""

    start: int
    step: int
    correct: int
    total: int
    loss: float
    yardstick: bool
    """Whether only the yardstick was evaluated, a fixed sample of the validation images; otherwise
    all of them were."""
    epoch: int = 0
    """The number of epochs of this start that have begun."""
    per_class: tuple[tuple[int, int], ...] = ()
    """(correct, total) of each class; empty for the yardstick."""
    best: bool = False
    """Whether this is the best accuracy on all validation images in this run so far."""
    skipped_images: int = 0
    """The number of images that could not be read so far."""


class TrainBegan(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Training has begun after `step` and ends with `to_step`."""

    start: int
    step: int
    to_step: int


class TrainEnded(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Training has ended after `step`."""

    start: int
    step: int
    reason: EndReason


class CheckpointSaved(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A checkpoint was saved, or could not be."""

    name: str
    """`best`, `last` or `start-N`."""
    path: str
    start: int
    step: int
    failure: str = ""
    """Why it could not be saved, in which case the previous file is unchanged; empty otherwise."""


class ImageSkipped(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """An image could not be read and is left out from now on."""

    path: str
    reason: str
    total: int
    """The number of images skipped so far."""
    lost_class: str = ""
    """A warning if this was the last training or validation image of its class; else empty."""

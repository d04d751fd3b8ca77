"""Events about checks and measurements that leave the run unchanged."""

from __future__ import annotations

import msgspec

from tl_tui.protocol.training import EndReason


class AuditFinding(msgspec.Struct, frozen=True, array_like=True):
    """A frozen tensor that has changed."""

    tensor: str
    """Its name in the state dict."""
    cause: str


class Audited(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Frozen tensors were compared with their values when frozen, and over one step on a copy."""

    tensors: int
    """The number of tensors compared."""
    findings: tuple[AuditFinding, ...]
    step: int | None = None
    """The last step before the comparison; None if it is not known."""


class LrRangeTested(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Progress or result of a learning-rate range test."""

    points: tuple[tuple[float, float], ...]
    """(learning rate of the head, smoothed loss)."""
    done: bool
    proposal: float | None = None
    """A learning rate for the head; None while the test runs, or if the loss never falls."""
    reason: str = ""
    """The reason for the proposal, or for its absence."""


class SavedTensors(msgspec.Struct, frozen=True, array_like=True):
    """The size of some tensors that autograd saves for backward, and when it saves them."""

    owner: int
    """The owner during or just before which they are saved."""
    bytes: int
    if_reached: tuple[int, ...]
    """They are saved if the gradient reaches the output of any of these owners ..."""
    if_trainable: tuple[int, ...]
    """... or if any of these owners is trainable."""


class StepCostMeasured(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """What each owner costs in a train step; `estimates.cost_model` predicts any mask from it.

    Tuples have one entry per owner, in execution order, except for `saved`.
    """

    batch: int
    """The number of images in the measured batch."""
    forward_ms: tuple[float, ...]
    """Running the owner, and what is executed between the previous owner and this one."""
    input_grad_ms: tuple[float, ...]
    """Computing the gradient of its inputs from that of its output."""
    weight_grad_ms: tuple[float, ...]
    """Computing the gradient of its weights, and updating them."""
    fixed_ms: float
    """The loss, and everything else that belongs to no owner."""
    saved: tuple[SavedTensors, ...]
    """In execution order; each storage is counted once."""
    gradient_bytes: tuple[int, ...]
    """Gradients of its weights, if it is trainable."""
    state_bytes: tuple[int, ...]
    """Optimizer state of its weights, if it is trainable."""
    forward_bytes: tuple[int, ...]
    """Peak in the forward pass if nothing is saved for backward."""
    forward_extra_bytes: tuple[int, ...]
    """Peak in the forward pass, in addition to the saved tensors, if all are saved."""
    backward_bytes: tuple[int, ...]
    """Peak in the backward pass, in addition to saved tensors and gradients."""
    saved_overhead: float
    """Allocator overhead of the saved tensors, as a share of their bytes."""
    gradient_overhead: float
    """Working memory and allocator overhead of the update, as a share of the gradients' bytes."""
    fixed_bytes: int
    """The batch, and everything else that belongs to no owner."""


class WeightDriftMeasured(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """How far the weights have moved since the session began."""

    start: int = 0
    step: int
    rows: tuple[float, ...]
    """‖w − w₀‖ / ‖w₀‖ of each row."""
    running_mean_drift: dict[int, float]
    """By BatchNorm owner: how far its running mean has moved, in units of its first running
    standard deviation."""


class FoldProgressed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A train step of a cross-validation was taken."""

    fold: int
    """Counted from 1."""
    folds: int
    step: int
    steps: int
    """The number of steps in this fold."""


class FoldValidated(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A fold of a cross-validation was trained and validated."""

    fold: int
    """Counted from 1."""
    folds: int
    correct: int
    total: int
    loss: float
    per_class: tuple[tuple[int, int], ...]
    """(correct, total) of each class."""
    steps: int
    cached: str
    """The layer whose output was cached in place of the frozen prefix; empty if none was."""
    seconds: float


class CrossValidationEnded(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A cross-validation has ended; the counts are those of its completed folds."""

    folds: int
    """The number of folds requested."""
    correct: int
    total: int
    """Every image is counted once."""
    accuracies: tuple[float, ...]
    """The accuracy of each completed fold, 0 to 1."""
    reason: EndReason

"""Events: what the engine tells every screen and script."""

from __future__ import annotations

from typing import Literal

import msgspec

from tl_tui.protocol.config import Recipe
from tl_tui.protocol.inference import (
    DataEvaluated,
    ImagesPredicted,
    InferenceBegan,
    InferenceProgressed,
    ModelExported,
    ModelFileChecked,
    ScriptWritten,
)
from tl_tui.protocol.layers import NormMode, Reach
from tl_tui.protocol.results import ImagesShown, ResultsShown
from tl_tui.protocol.session import Cycle, Plan, SessionOpened

LoadingStage = Literal["torch", "data", "weights", "calibration", "warm-up"]
WorkKind = Literal["step", "other"]
"""What the engine is busy with, as far as a screen has to distinguish it."""


class Greeted(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Answer to the connection itself; tells a visitor which run this is."""

    protocol: int
    version: str
    pid: int
    host: str = ""
    job: str = ""
    """The SLURM job that the engine ends with; empty outside of one."""
    job_ends: float | None = None
    """When that job ends, in seconds since 1970; None if it is not known."""
    run_dir: str = ""
    """Empty until the session is open, as are the following."""
    arch: str = ""
    data: str = ""
    step: int = 0
    training: bool = False
    screens: int = 0
    """How many clients it has already."""


class ViewersChanged(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Told to each client when it changes; until then it is alone and steers."""

    screens: int
    """How many clients there are."""
    steers: bool
    """This one's commands are done; else it watches, and may `TakeOver`."""


class LoadingProgressed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A stage of opening began, went on or was done."""

    stage: LoadingStage
    done: bool
    detail: str = ""
    seconds: float = 0.0


class StartCurves(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one start so far."""

    start: int
    weights: str
    losses: tuple[tuple[int, float], ...]
    """(step, training loss); of very many steps only some."""
    validations: tuple[tuple[int, int, int, float], ...]
    """(step, correct, total, loss) on the whole validation set."""
    yardstick: tuple[tuple[int, int, int], ...] = ()
    """(step, correct, total) on the yardstick, where that is known."""
    strategies: tuple[str | None, ...] = ()
    """The strategies its steps were taken with, without repeats; None is by hand."""
    plan: str = ""
    """The plan its steps followed, if they did."""


class HistorySent(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The curves so far, of a run that goes on or to which a screen comes back; comes right behind
    `SessionOpened`."""

    starts: tuple[StartCurves, ...]
    """Oldest first; the last one goes on."""


class OpenFailed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The session could not be opened as asked; the engine waits for another `Open`."""

    sentence: str
    choices: tuple[str, ...] = ()
    """Values for `RunConfig.weights` that would work, if that is the question."""


class Confirmed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    id: int


class Refused(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    id: int
    reason: str


class LayerMeasurement(msgspec.Struct, frozen=True, array_like=True):
    """What one backward pass did at a layer (or at one owner within it). Norms are L2."""

    reach: Reach
    grad_norm: float | None
    """Of the trainable parameters, as autograd left it; None if they received none."""
    weight_norm: float
    """Of all its parameters, before the step."""
    update_ratio: float | None
    """Norm of the real change of its trainable weights over their norm before the step."""
    nonfinite: int
    """How many gradient elements are NaN or infinite."""
    arrival_ms: float | None
    """When the gradient arrived at its output, from the start of backward; None if it did not."""


class StepTaken(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """One real train step was taken; with the measurements if it was a measured one."""

    start: int
    step: int
    """Counted from 1 after every start over."""
    epoch: int
    """Counted from 1."""
    loss: float
    correct: int
    batch: int
    seconds: float
    mask: tuple[int, ...]
    """The applied mask: the trainable owners."""
    forward_ms: float | None = None
    backward_ms: float | None = None
    update_ms: float | None = None
    rows: tuple[LayerMeasurement, ...] = ()
    """One a row; empty if the step was not measured."""
    owners: tuple[LayerMeasurement, ...] = ()
    """One an owner; empty if the step was not measured."""
    memory_used: int | None = None
    """Bytes of device memory allocated at the peak of the step; None on the CPU."""
    cached_rows: int = 0
    """How many rows, from the first one, were not executed: their activations were kept for each
    image of the batch."""
    captured: bool = False
    """Its passes were replayed from a CUDA graph."""
    lr_factor: float = 1.0
    """What the schedule multiplied every row's base rate with."""
    seconds_left: float | None = None
    """Until the end of what `Train` asked for, validations included; None outside of training."""


class FeatureCacheReported(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """How the steps of a run stand to the feature cache."""

    rows: int
    """How many rows, from the first one, are executed only once an image; 0 is none."""
    cut: str = ""
    """The place whose activations are kept."""
    images: int = 0
    """How many images are kept there."""
    total: int = 0
    """How many there are, training and validation together."""
    memory: int = 0
    """Bytes on the device."""
    file: int = 0
    """Bytes in a file of the run directory."""
    hits: int = 0
    """Images that were not run through these rows, in this session."""
    misses: int = 0
    why: str = ""
    """Why nothing is kept, or no more; empty if all is well."""


class StepNotApplied(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A step was refused in its course; weights, buffers, optimizer, random state and batch
    position are as before it. Training, if it ran, has ended."""

    id: int
    """The `Step` it was asked for with; 0 in training."""
    start: int
    step: int
    """The number that it would have had."""
    sentence: str
    """What happened, where, and what can be done, without naming keys."""
    memory: bool
    """Memory ran out; else the loss or a gradient is not finite."""
    loss: float | None = None
    row: int | None = None
    """The first layer with a value that is not finite; None if it was not found."""
    needed: int | None = None
    """Bytes that the step was predicted to need; None if that is not known."""
    available: int | None = None
    """Bytes that were free before the step."""
    trainable: tuple[int, ...] | None = None
    """A smaller mask that is predicted to fit; None if there is none."""
    batch_size: int | None = None
    """A smaller batch that is predicted to fit, which takes a new run."""


class Validated(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The weights after `step` were evaluated on validation images."""

    start: int
    step: int
    correct: int
    total: int
    loss: float
    yardstick: bool
    """On the fixed yardstick images; else on the whole validation set."""
    epoch: int = 0
    """How many epochs of this start were begun."""
    per_class: tuple[tuple[int, int], ...] = ()
    """(correct, total) of each class; empty on the yardstick."""
    best: bool = False
    """The best accuracy of this run's whole validations so far."""
    skipped_images: int = 0
    """How many images could not be read so far."""


class NormModeChanged(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    owners: tuple[int, ...]
    mode: NormMode


class StartedOver(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Everything is as at a start; `start` counts up."""

    start: int
    from_step: int
    weights: str
    """The label of the weights it starts from."""
    pretrained: bool
    cycle: Cycle


class StartOverUndone(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    start: int
    step: int
    weights: str
    pretrained: bool
    cycle: Cycle


class AuditFinding(msgspec.Struct, frozen=True, array_like=True):
    tensor: str
    """Name in the state dict."""
    cause: str


class Audited(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Frozen tensors were compared with their state when frozen and over a step on a copy."""

    tensors: int
    """How many frozen tensors were compared."""
    findings: tuple[AuditFinding, ...]


# --- how it trains ------------------------------------------------------------------------------


class RecipeChanged(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    recipe: Recipe
    rates: tuple[float, ...]
    """Base rate of each row."""


class CycleBegan(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The schedule begins anew, or its horizon was moved."""

    cycle: Cycle
    why: str
    """In words, such as `2 last stage` or `plan lp-ft: full`."""


class PlanChanged(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A plan was laid out, left, or interrupted by hand."""

    plan: Plan | None
    why: str = ""
    """The reason, for the user; empty for a plan that was asked for."""
    interrupted: bool = False
    """The plan ended because the mask was changed by hand."""


class MaskPlanned(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The engine itself wants this mask from the next step on: a plan's next phase, a new start."""

    trainable: tuple[int, ...]
    why: str


class TrainBegan(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    start: int
    step: int
    to_step: int


class CheckpointSaved(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    name: str
    """best, last, or start-N."""
    path: str
    start: int
    step: int
    failure: str = ""
    """Why it could not be saved; the one before is still there whole."""


# --- side measurements --------------------------------------------------------------------------


class LrRangeTested(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A learning-rate range test: how it goes, and at its end what it proposes."""

    points: tuple[tuple[float, float], ...]
    """(rate of the head, smoothed loss)."""
    done: bool
    proposal: float | None = None
    """A rate for the head; None while it goes on, or if the curve never falls."""
    why: str = ""


class SavedTensors(msgspec.Struct, frozen=True, array_like=True):
    """Tensors that autograd keeps for backward, and for which masks it does."""

    at: int
    """The owner during which they are saved, or right before."""
    bytes: int
    reached: tuple[int, ...]
    """Kept if the gradient comes to the output of any of these owners ..."""
    learning: tuple[int, ...]
    """... or if any of these learns."""


class StepCostMeasured(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """What each owner costs in a step; `tl_tui.estimates.cost_model` predicts any mask from it.

    Tuples have one entry an owner, in their order, except for `saved`.
    """

    batch: int
    forward_ms: tuple[float, ...]
    """Running the owner, and what is executed between the one before and it."""
    pass_ms: tuple[float, ...]
    """Taking the gradient from its output to its inputs."""
    learn_ms: tuple[float, ...]
    """The gradient of its own weights, and their update."""
    fixed_ms: float
    """Loss, and everything that no owner accounts for."""
    saved: tuple[SavedTensors, ...]
    """In order of execution; each storage is counted once."""
    gradient_bytes: tuple[int, ...]
    """Gradients of its weights, if it learns."""
    state_bytes: tuple[int, ...]
    """Optimizer state of its weights, if it learns."""
    forward_bytes: tuple[int, ...]
    """The most that is in use for a moment in the forward pass if nothing is kept."""
    beside_bytes: tuple[int, ...]
    """The same beside what is kept, if everything that backward can need is kept."""
    backward_bytes: tuple[int, ...]
    """The most that is in use for a moment in backward, beside what is kept and the gradients."""
    kept_share: float
    """What the allocator holds beside what is kept, as a share of it."""
    gradient_share: float
    """Working memory of the update, and what the allocator holds, as a share of the gradients."""
    fixed_bytes: int
    """The batch, and what else no owner accounts for."""


class WeightDriftMeasured(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """How far the weights have moved from those that the session began with."""

    step: int
    rows: tuple[float, ...]
    """‖w − w₀‖ / ‖w₀‖ of each row."""
    drift: dict[int, float]
    """By BatchNorm owner: how far its running mean has moved, in its own first deviations."""


class LayerRestored(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    owners: tuple[int, ...]
    undone: bool = False


class FoldProgressed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A step of a cross-validation was taken."""

    fold: int
    """From 1."""
    folds: int
    step: int
    steps: int
    """Of this fold."""


class FoldValidated(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    fold: int
    """From 1."""
    folds: int
    correct: int
    total: int
    loss: float
    per_class: tuple[tuple[int, int], ...]
    steps: int
    cached: str
    """Where cached features stand for the frozen prefix; empty if nothing is cached."""
    seconds: float


class CrossValidationEnded(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    folds: int
    correct: int
    total: int
    """Every image once."""
    accuracies: tuple[float, ...]
    reason: Literal["done", "paused", "failed"]


# --- the rest -----------------------------------------------------------------------------------


class TrainEnded(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A `Train` command came to its end, was paused, or has failed."""

    start: int
    step: int
    reason: Literal["done", "paused", "failed"]


class ImageSkipped(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """An image could not be read and is left out."""

    path: str
    reason: str
    total: int
    """How many were skipped so far."""
    lost_class: str = ""
    """That with it no image of its class is left to train on or to validate with, in words."""


class Heartbeat(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Sent about once a second while the engine is busy for longer than that."""

    busy: str
    """What with, such as `train step` or `loading weights`."""
    seconds: float
    """How long the current unit of work has taken so far."""
    kind: WorkKind = "other"
    """Whether the unit of work is a train step."""


class JobEnded(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """An errand is done, or cannot be."""

    failure: str = ""
    """Why not, in a sentence; empty if it is done."""


class EngineFailed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Something the engine cannot go on from; it exits after this."""

    sentence: str


AnyEvent = (
    Greeted
    | ViewersChanged
    | LoadingProgressed
    | OpenFailed
    | SessionOpened
    | HistorySent
    | Confirmed
    | Refused
    | StepTaken
    | FeatureCacheReported
    | StepNotApplied
    | Validated
    | NormModeChanged
    | StartedOver
    | StartOverUndone
    | Audited
    | RecipeChanged
    | CycleBegan
    | PlanChanged
    | MaskPlanned
    | TrainBegan
    | CheckpointSaved
    | ResultsShown
    | ImagesShown
    | LrRangeTested
    | StepCostMeasured
    | WeightDriftMeasured
    | LayerRestored
    | FoldProgressed
    | FoldValidated
    | CrossValidationEnded
    | TrainEnded
    | ImageSkipped
    | Heartbeat
    | JobEnded
    | InferenceBegan
    | ImagesPredicted
    | InferenceProgressed
    | DataEvaluated
    | ModelFileChecked
    | ModelExported
    | ScriptWritten
    | EngineFailed
)

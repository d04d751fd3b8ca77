"""Commands that a client sends to the engine."""

from __future__ import annotations

from typing import Literal

import msgspec

from tl_tui.protocol.config import ModelFormat, PlanName, Recipe, RunConfig
from tl_tui.protocol.layers import NormMode
from tl_tui.protocol.results import ImageSelection

PROTOCOL = 6
"""Version of the protocol; increased whenever a message changes so that an older peer would
misread it."""


class Command(msgspec.Struct, tag=True, kw_only=True):
    """Base class of all commands. The engine answers each with one `Confirmed` or `Refused`."""

    id: int
    """Chosen by the client; the answer repeats it."""


# --- connection ---------------------------------------------------------------------------------


class Hello(Command):
    """First message of a client."""

    protocol: int = PROTOCOL
    lossless: bool = False
    """Whether the client needs every event, so that the engine waits for it; otherwise newer states
    replace older ones that it has not read yet."""


class SetDisconnectAction(Command):
    """Set what the engine does if this client disconnects and was the last one."""

    action: Literal["end", "continue", "pause"]
    """end: save and exit; an engine that received no such command does so too. continue: keep
    training. pause: stop training and wait for a client. With continue and pause, an engine that
    has trained nothing exits after `wait_seconds`."""
    wait_seconds: float = 0.0
    """How long an engine that has trained nothing waits for a client to connect."""


class TakeOver(Command):
    """Put this client in control; the client that was in control only watches from now on."""


class Shutdown(Command):
    """Save what was trained and exit."""


# --- session ------------------------------------------------------------------------------------


class Open(Command):
    """Open a session. After `OpenFailed` it may be sent again with another configuration."""

    config: RunConfig


class ResumeRun(Command):
    """Open a session that continues a run from one of its checkpoints; takes the place of `Open`.

    None keeps what the run has.
    """

    run: str
    """The run's directory, its name, or the beginning of its name."""
    checkpoint: str = "last"
    strategy: str | None = None
    trainable: tuple[str, ...] | None = None
    """Names of the layers, stages or modules to train instead of those of the checkpoint."""
    epochs: int | None = None
    """The total number of epochs, those already trained included."""
    data: str | None = None
    """The image folder, if it has moved."""
    labels: str | None = None
    """The labels file, if it has moved."""
    columns: str | None = None
    """The columns of the labels file, if they have other names now."""
    device: str | None = None
    probe_every: int | None = None


class SetMask(Command):
    """Make exactly these owners trainable from the next step on. This ends a plan."""

    trainable: tuple[int, ...]
    strategy: str | None = None
    """The strategy that this mask belongs to; a new cycle of the schedule begins with it."""


class SetNormMode(Command):
    """Set the mode of some BatchNorms; auto is eval for frozen ones and train for the others."""

    owners: tuple[int, ...]
    mode: NormMode


class SetRecipe(Command):
    """Train with this recipe from the next step on.

    Rates set with `SetRate` are kept unless the recipe changes the learning rates.
    """

    recipe: Recipe


class SetRate(Command):
    """Set the base learning rate of some rows; 0 leaves weights unchanged without freezing them."""

    rows: tuple[int, ...]
    rate: float


class BeginCycle(Command):
    """Begin a new cycle of the learning-rate schedule with the next step."""


class SetPlan(Command):
    """Follow a plan from the next step on, or leave the current one and keep its mask."""

    plan: PlanName | None
    """None leaves the current plan."""
    phase_epochs: int | None = None
    """Epochs in each phase but the last; None is 1 for gradual, half of all epochs for lp-ft."""


# --- training -----------------------------------------------------------------------------------


class Step(Command):
    """Take one measured train step."""


class Train(Command):
    """Train until the current start has `steps` steps, then stop.

    Every epoch ends with a validation and a checkpoint.
    """

    steps: int | None = None
    """None is the end of the schedule or plan. After that end, None is as many epochs again."""


class Pause(Command):
    """Stop training, or whatever else is running, after the current unit of work."""


class StartOver(Command):
    """Reset weights, buffers, optimizer, random state and batch position to those of a start.

    The curves of the start that is left stay visible.
    """

    weights: Literal["same", "first", "none"] = "same"
    """same: the weights of the current start. first: those that the session began with. none: new
    random weights, calibrated, with everything trainable."""
    keep: bool = False
    """Whether to save the weights that are left as the checkpoint `start-N`."""


class UndoStartOver(Command):
    """Undo the last `StartOver`; possible until the next step."""


class RestoreLayer(Command):
    """Restore the weights and buffers that these owners had when the session began."""

    owners: tuple[int, ...]


class UndoRestoreLayer(Command):
    """Undo the last `RestoreLayer`; possible until the next step."""


class SaveCheckpoint(Command):
    """Write the checkpoint `last` now."""


# --- checks -------------------------------------------------------------------------------------


class Evaluate(Command):
    """Evaluate all validation images now; answered by `Validated` and `ResultsShown`."""


class ShowResults(Command):
    """Send `ResultsShown` for the last evaluation of all validation images; evaluate if none."""


class ShowImages(Command):
    """Send `ImagesShown`."""

    selection: ImageSelection
    size: int = 24
    """Longer side of each picture, in pixels."""
    limit: int = 24
    """The largest number of pictures."""


class TestLrRange(Command):
    """Run a learning-rate range test on a copy of the model; answered by `LrRangeTested` events."""


class MeasureStepCost(Command):
    """Measure again what each owner costs in a step; answered by `StepCostMeasured`."""


class CrossValidate(Command):
    """Train and validate over K splits of all images, each from the session's start."""

    folds: int
    """K."""


class Audit(Command):
    """Compare every frozen tensor with its value when frozen, and over one step on a copy."""


# --- jobs ---------------------------------------------------------------------------------------


class Job(Command):
    """Base class of jobs on a finished run, which need no session; `JobEnded` is the last event."""

    run: str
    """The run's directory, its name, or the beginning of its name."""


class Predict(Job):
    """Classify images; answered by `InferenceBegan` and `ImagesPredicted` events."""

    paths: tuple[bytes, ...]
    """Images and folders, as bytes because a file name need not be valid text."""
    checkpoint: str = "best"
    """The last one if there is no best."""
    device: str = "auto"
    batch_size: int = 32


class EvaluateData(Job):
    """Evaluate on labelled images; answered by `InferenceBegan`, then `InferenceProgressed`
    events, then `DataEvaluated`."""

    data: str | None
    """The image folder; None is the run's own."""
    labels: str | None = None
    columns: str | None = None
    """The columns of the labels file; None finds them as the run did."""
    checkpoint: str = "best"
    device: str = "auto"
    batch_size: int = 32
    per_image: bool = False
    """Whether `InferenceProgressed` lists the images."""


class ExportModel(Job):
    """Write a run's model for use by other programs; answered by one `ModelFileChecked` per file,
    then `ModelExported`."""

    folder: str
    formats: tuple[ModelFormat, ...] | None = None
    """None is all formats, without onnx if its packages are not installed."""
    force: bool = False
    """Whether the folder may contain files already."""
    checkpoint: str = "best"
    temperature: bool = False
    """Whether to fit a temperature on the validation images and write it to `model.json`."""


class ExportScript(Job):
    """Write a run as a plain PyTorch script; answered by `ScriptWritten`."""

    path: str
    """The script. Files that it needs are written next to it and named after it."""
    data: str | None = None
    """The image folder, if it has moved."""
    force: bool = False
    """Whether to overwrite existing files."""


AnyCommand = (
    Hello
    | SetDisconnectAction
    | TakeOver
    | Open
    | ResumeRun
    | SetMask
    | SetNormMode
    | Step
    | Train
    | Pause
    | StartOver
    | UndoStartOver
    | SetRecipe
    | SetRate
    | BeginCycle
    | SetPlan
    | Evaluate
    | ShowResults
    | ShowImages
    | TestLrRange
    | MeasureStepCost
    | RestoreLayer
    | UndoRestoreLayer
    | CrossValidate
    | SaveCheckpoint
    | Audit
    | Predict
    | EvaluateData
    | ExportModel
    | ExportScript
    | Shutdown
)
"""Any command; the framing tells them apart by class name."""

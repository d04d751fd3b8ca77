"""Commands: what a screen or a script asks of the engine."""

from __future__ import annotations

from typing import Literal

import msgspec

from tl_tui.protocol.config import ModelFormat, PlanName, Recipe, RunConfig
from tl_tui.protocol.layers import NormMode

PROTOCOL = 5
"""Raised whenever a message changes in a way that an older peer would misread."""


class Command(msgspec.Struct, tag=True, kw_only=True):
    id: int
    """Chosen by the sender; answered by exactly one `Confirmed` or `Refused`."""


class Hello(Command):
    """First message of a client."""

    protocol: int = PROTOCOL
    lossless: bool = False
    """A log wants every event and the engine waits for it; a screen wants the latest state."""


class WhenAlone(Command):
    """What the engine does if this client is its last one and goes; without it, it ends."""

    does: Literal["end", "go on", "pause"]
    """Where nothing was trained there is nothing to go on with: it ends all the same."""
    wait: float = 0.0
    """Seconds for which it then waits for a screen: a line that was cut comes back."""


class TakeOver(Command):
    """Steer from this screen from now on; the one that did only watches."""


class Open(Command):
    """Open the session. May be sent again, changed, after `OpenFailed`."""

    config: RunConfig


class ResumeRun(Command):
    """Open the session of a run again, where one of its checkpoints stands. In place of `Open`."""

    run: str
    """Its directory, its name, or the beginning of that."""
    checkpoint: str = "last"
    strategy: str | None = None
    trainable: tuple[str, ...] | None = None
    """Another mask than the one it stands with."""
    epochs: int | None = None
    """Another horizon, in all."""
    data: str | None = None
    """Where its images are now, if they were moved."""
    labels: str | None = None
    device: str | None = None
    probe_every: int | None = None


class SetMask(Command):
    """Wish for exactly these owners to be trainable from the next step on; ends a plan."""

    trainable: tuple[int, ...]
    strategy: str | None = None
    """The strategy it was chosen as: a new cycle of the schedule begins with its first step."""


class SetNormMode(Command):
    """Run these BatchNorms in eval or train mode whatever the mask says; auto follows the mask."""

    owners: tuple[int, ...]
    mode: NormMode


class Step(Command):
    """Take one measured train step."""


class Train(Command):
    """Take steps until the run has taken `steps` in all; measured at the run's cadence.

    Every epoch ends with a validation and a checkpoint.
    """

    steps: int | None = None
    """None: to the end of the schedule or plan; from there on, for as many epochs again."""


class Pause(Command):
    """Stop training, or any side work, after the unit that is running."""


class StartOver(Command):
    """Put weights, buffers, optimizer, random state and batch position back to the start.

    The start before stays as a curve on the screen.
    """

    weights: Literal["same", "first", "none"] = "same"
    """same: the start this one began from. none: a new start from random weights, calibrated,
    everything trainable. first: the session's own start again."""
    keep: bool = False
    """Save the weights that are left as the checkpoint `start-N`."""


class UndoStartOver(Command):
    """Take the last `StartOver` back; possible until the next step."""


class SetRecipe(Command):
    """Train with this recipe from the next step on.

    Rates set by hand stay if the recipe's rates do; other ones are for every row.
    """

    recipe: Recipe


class SetRate(Command):
    """Give these rows a base rate by hand; 0 holds them still without freezing them."""

    rows: tuple[int, ...]
    rate: float


class BeginCycle(Command):
    """Begin the schedule anew with the next step."""


class SetPlan(Command):
    """Follow a plan from the next step on; None leaves it, and the mask as it is."""

    plan: PlanName | None
    phase_epochs: int | None = None
    """Epochs of every phase but the last; None is 1 for gradual, half the horizon for lp-ft."""


class Evaluate(Command):
    """Evaluate the whole validation set now; answered by `Validated` and `ResultsShown`."""


class ShowResults(Command):
    """Send `ResultsShown` of the last whole validation; evaluates first if there was none."""


class ShowImages(Command):
    """Send `ImagesShown`."""

    what: Literal["batch", "wrong"]
    """The coming batch as the model gets it, or the most wrong validation images."""
    side: int = 24
    """Of the pictures, in pixels."""
    most: int = 24


class TestLrRange(Command):
    """Run a learning-rate range test on a copy; answered by `RangeTested`, again and again."""


class MeasureStepCost(Command):
    """Take the probe steps of the price again; answered by `PriceMeasured`."""


class RestoreLayer(Command):
    """Put these owners back to the weights and buffers that the session began with."""

    owners: tuple[int, ...]


class UndoRestoreLayer(Command):
    """Take the last `RestoreLayer` back; possible until the next step."""


class CrossValidate(Command):
    """Train and validate over K splits of all images, each from the session's start."""

    folds: int


class SaveCheckpoint(Command):
    """Write the checkpoint `last` now."""


class Audit(Command):
    """Compare every frozen tensor with its state when frozen, and over one step on a copy."""


class Job(Command):
    """Something to be done with a run, beside any session; ended by `ErrandEnded`."""

    run: str
    """Its directory, its name, or the beginning of that."""


class Predict(Job):
    """Ask a run's model about images; answered by `AnsweringBegan`, then `ImagesPredicted`."""

    paths: tuple[bytes, ...]
    """Images and folders as the file system has them; their names need be no text."""
    checkpoint: str = "best"
    """The last one if there is no best."""
    device: str = "auto"
    batch_size: int = 32


class EvaluateData(Job):
    """Ask a run's model about labelled images; answered by `AnsweringBegan`, then
    `AnsweringProgressed`, and at last `DataEvaluated`."""

    data: str | None
    labels: str | None = None
    checkpoint: str = "best"
    device: str = "auto"
    batch_size: int = 32


class ExportModel(Job):
    """Write a run's model for other programs; answered by `ModelFileChecked` for each file, and at
    last `ModelExported`."""

    folder: str
    formats: tuple[ModelFormat, ...] | None = None
    """None: all, but onnx only where what it needs is installed."""
    force: bool = False
    """The folder may hold files already."""
    checkpoint: str = "best"


class ExportScript(Job):
    """Write a run as a plain PyTorch script; answered by `ScriptWritten`."""

    path: str
    """The script; what has to lie beside it is named after it."""
    data: str | None = None
    """The image folder, if it has moved since."""
    force: bool = False
    """Write over what is there."""


class Shutdown(Command):
    """End the engine."""


AnyCommand = (
    Hello
    | WhenAlone
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

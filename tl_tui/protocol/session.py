"""Events about a session: opening it, its whole state, and changes of its settings."""

from __future__ import annotations

from typing import Literal

import msgspec

from tl_tui.protocol.config import Precision, Recipe
from tl_tui.protocol.dataset import DatasetSummary
from tl_tui.protocol.layers import NormMode, StackInfo

LoadingStage = Literal["torch", "data", "weights", "calibration", "warm-up"]

# --- opening ------------------------------------------------------------------------------------


class LoadingProgressed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A stage of opening a session has begun, progressed or ended."""

    stage: LoadingStage
    done: bool
    detail: str = ""
    seconds: float = 0.0


class OpenFailed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The session could not be opened; the engine waits for another `Open`."""

    sentence: str
    """What is wrong and what to do, for the user."""
    choices: tuple[str, ...] = ()
    """Values for `RunConfig.weights` that would work, if the weights are the problem."""


# --- state --------------------------------------------------------------------------------------


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """One pass of the learning-rate schedule, from warm-up to its end."""

    after_step: int
    """The cycle begins with the step after this one."""
    steps: int
    """The number of steps; after them the learning rate stays at its final value."""


class PlanPhase(msgspec.Struct, frozen=True, kw_only=True):
    """A phase of a plan: some epochs with one mask."""

    name: str
    """Such as `head` or `last stage`."""
    trainable: tuple[int, ...]
    after_step: int
    """The phase begins with the step after this one."""
    steps: int
    epoch: int
    """The plan's epoch in which it begins, counted from 1."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A sequence of masks over time, in steps of the current start."""

    name: str
    phases: tuple[PlanPhase, ...]


class SessionOpened(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The whole state of a session; sent when it is ready, and to each client that joins later."""

    arch: str
    weights: str
    """The label of the weights, such as `ImageNet V1` or `random`."""
    weights_reason: str
    """Why these weights were chosen, in a sentence; empty if they are the requested ones."""
    weights_cause: str = ""
    """Why a download of weights failed, in a few words such as `timed out`; empty otherwise."""
    pretrained: bool
    data: str
    """The name of the data set, such as `hot dog`."""
    classes: tuple[str, ...]
    train_images: int
    val_images: int
    dataset: DatasetSummary = DatasetSummary()
    chance: float
    """The expected accuracy of random guessing, 0 to 1: one divided by the number of classes."""
    majority_class: int
    """Index of the most frequent class of the validation images."""
    majority: int
    """The number of validation images of that class."""
    yardstick: int
    """The number of images in the yardstick, a fixed sample of at most 64 validation images."""
    yardstick_majority: int = 0
    """The number of images of the yardstick's most frequent class."""
    device: str
    """Such as `cuda:0 H200` or `cpu`."""
    device_warning: str
    """Why a GPU of this machine cannot be used; empty otherwise. Shown all the time."""
    memory_total: int | None
    """Bytes of device memory; None on the CPU."""
    image_size: int
    batch_size: int
    recipe: Recipe
    rates: tuple[float, ...]
    """Base learning rate of each row; the schedule multiplies them."""
    batches_per_epoch: int
    """The number of steps in an epoch, as far as it is known which images can be read."""
    epoch_shift: int = 0
    """What to add to a step before it is divided by `batches_per_epoch` to get its epoch. It is
    not 0 if epochs had more steps before some images disappeared."""
    cycle: Cycle
    plan: Plan | None
    precisions: tuple[Precision, ...]
    """The precisions that the device supports."""
    seed: int
    run_dir: str
    stack: StackInfo
    strategies: dict[str, tuple[int, ...]]
    """Trainable owners of each strategy, by name, in the order of the keys 1 to 5."""
    strategy: str | None
    """The strategy that the session starts with; None if the mask was given by name."""
    trainable: tuple[int, ...]
    """The mask for the next step: the owners to be trainable."""
    norm_modes: dict[int, NormMode]
    """Modes of the BatchNorms that the user has set, by owner."""
    start: int
    """The number of times that the session was started over."""
    step: int
    skipped_images: int
    notes: tuple[str, ...]
    """Sentences to show once, such as calibration, V2 weights or skipped images."""


class StartCurves(msgspec.Struct, frozen=True, kw_only=True):
    """The curves of one start so far."""

    start: int
    weights: str
    """The label of the weights that it began from."""
    losses: tuple[tuple[int, float], ...]
    """(step, training loss); a sample if there are very many steps."""
    validations: tuple[tuple[int, int, int, float], ...]
    """(step, correct, total, loss) on all validation images."""
    yardstick: tuple[tuple[int, int, int], ...] = ()
    """(step, correct, total) on the yardstick, where known."""
    strategies: tuple[str | None, ...] = ()
    """The strategies of its steps, without repeats; None is a mask set by hand."""
    plan: str = ""
    """The plan that its steps followed; empty if there was none."""


class HistorySent(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The curves of a resumed run, or of a session that a client joins.

    Sent after `SessionOpened`.
    """

    starts: tuple[StartCurves, ...]
    """Oldest first; the last one is the current start."""


# --- changes ------------------------------------------------------------------------------------


class NormModeChanged(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The mode of some BatchNorms was set."""

    owners: tuple[int, ...]
    mode: NormMode


class RecipeChanged(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The recipe or the base learning rates have changed."""

    recipe: Recipe
    rates: tuple[float, ...]
    """Base learning rate of each row."""


class CycleBegan(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The schedule begins again, or its number of steps has changed."""

    cycle: Cycle
    reason: str
    """Such as `2 last stage` or `plan lp-ft: full`."""


class EpochResized(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """An epoch has another number of steps, because images turned out to be unreadable.

    Whatever was planned in epochs has moved: schedule, plan and the end of training.
    """

    batches_per_epoch: int
    """The number of steps in an epoch from now on."""
    epoch_shift: int
    """As in `SessionOpened`."""
    cycle: Cycle
    plan: Plan | None
    to_step: int | None
    """The step at which training will end; None while it does not run."""


class PlanChanged(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A plan was set, left, or interrupted by a mask set by hand."""

    plan: Plan | None
    reason: str = ""
    """The reason, for the user; empty for a plan that the user has set."""
    interrupted: bool = False
    """Whether the plan ended because the mask was set by hand."""


class MaskPlanned(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The mask for the next step was set by the engine, for a phase of a plan or a new start, or by
    another client."""

    trainable: tuple[int, ...]
    reason: str


class StartedOver(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The session was started over."""

    start: int
    """The number of the new start."""
    from_step: int
    """The last step of the start that was left."""
    weights: str
    """The label of the weights that the new start begins from."""
    pretrained: bool
    cycle: Cycle


class StartOverUndone(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The last start over was undone; the session is back at `step` of the start before."""

    start: int
    step: int
    weights: str
    pretrained: bool
    cycle: Cycle
    epoch_shift: int = 0
    """As in `SessionOpened`."""


class LayerRestored(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Owners were restored to the weights that the session began with, or that was undone."""

    owners: tuple[int, ...]
    undone: bool = False

"""Everything that passes between a screen and the engine: commands one way, events the other.

A message is a MessagePack map tagged with its class name, behind a four-byte big-endian length.
MessagePack keeps NaN and infinities, which JSON does not; see `strict_json` for text.
Layers are always listed in execution order, input first. Owners are named by their index in
`StackInfo.owners`, so that a mask of ResNet-152 stays below a kilobyte.

This module imports neither torch nor textual.
"""

from __future__ import annotations

from typing import Literal

import msgspec

PROTOCOL = 1
"""Raised whenever a message changes in a way that an older peer would misread."""

Reach = Literal["updated", "passed", "unreached"]
NormMode = Literal["auto", "eval", "train"]
LoadingStage = Literal["torch", "data", "weights", "calibration", "warm-up"]


# --- what a run is ------------------------------------------------------------------------------


class RunConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for; None leaves the choice to the defaults table (`engine.defaults`)."""

    data: str | None = None
    """Image folder; None is the embedded demo."""
    arch: str = "resnet18"
    weights: str = "auto"
    """auto, default, demo, none, the name of a torchvision weights entry, or a file."""
    strategy: str | None = None
    trainable: tuple[str, ...] | None = None
    """Layers, stages or modules by name; overrides the strategy."""
    device: str = "auto"
    batch_size: int | None = None
    image_size: int | None = None
    lr: float | None = None
    seed: int = 0
    probe_every: int = 10
    run_dir: str | None = None
    deterministic: bool = False
    describe_only: bool = False
    """Only the stack is wanted (`tl-tui layers`): no warm-up, no run directory."""


class OwnerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter owner: a module with parameters of its own; the unit of the mask."""

    name: str
    """Module path, such as `layer1.0.conv1`."""
    kind: str
    """Class name, such as `Conv2d`."""
    detail: str
    """Its shape in words, such as `64 → 128, 3×3, stride 2`; may be empty."""
    params: int
    row: int
    parents: tuple[int, ...]
    """The owners whose outputs feed it with no other owner between: the edges of the real graph."""
    norm: bool
    """It keeps running statistics (a BatchNorm)."""


class RowInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A layer: one row of the stack."""

    name: str
    kind: str
    detail: str
    params: int
    role: str
    """What such a layer sees: edges, textures, patterns, parts, objects, classes."""
    stage: int
    """Index in `StackInfo.stages`."""
    first_owner: int
    end_owner: int
    """Its owners are `owners[first_owner:end_owner]`, in execution order."""
    output_shape: tuple[int, ...]
    """Without the batch dimension."""
    cut: bool
    """Its output is the only tensor that passes on: the model can be run from here."""
    head: bool
    """It holds the new head."""


class StageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Neighbouring rows that belong together (ResNet: `layer1` … `layer4`)."""

    name: str
    first_row: int
    end_row: int
    role: str
    params: int
    output_shape: tuple[int, ...]


class StackInfo(msgspec.Struct, frozen=True, kw_only=True):
    rows: tuple[RowInfo, ...]
    owners: tuple[OwnerInfo, ...]
    stages: tuple[StageInfo, ...]
    traced: bool
    """The graph was found by torch.fx; else ancestry is the order of execution."""


class SessionOpened(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The whole state of a session, sent when it is ready and to every screen that attaches."""

    arch: str
    weights: str
    """The label of the weights, such as `ImageNet V1` or `random`."""
    weights_why: str
    """Why these weights, in a sentence; empty if they are what was asked for."""
    pretrained: bool
    data: str
    """Name of the data set, such as `hot dog`."""
    classes: tuple[str, ...]
    train_images: int
    val_images: int
    chance: float
    """Accuracy of guessing the most frequent class of the yardstick images, 0 to 1."""
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
    optimizer: str
    lr_head: float
    lr_pretrained: float
    seed: int
    run_dir: str
    stack: StackInfo
    strategies: dict[str, tuple[int, ...]]
    """Trainable owners of each strategy, by name, in the order of the keys 1 to 4."""
    strategy: str | None
    """The strategy the session starts with; None if the mask was given by name."""
    wanted: tuple[int, ...]
    norm_modes: dict[int, NormMode]
    """BatchNorms whose mode was switched by hand, by owner."""
    start: int
    """How many times the session was started over."""
    step: int
    notes: tuple[str, ...]
    """Sentences the user must see once: calibration, V2 weights, skipped images."""


# --- commands -----------------------------------------------------------------------------------


class Command(msgspec.Struct, tag=True, kw_only=True):
    id: int
    """Chosen by the sender; answered by exactly one `Confirmed` or `Refused`."""


class Hello(Command):
    """First message of a client."""

    protocol: int = PROTOCOL
    lossless: bool = False
    """A log wants every event and the engine waits for it; a screen wants the latest state."""


class Open(Command):
    """Open the session. May be sent again, changed, after `OpenFailed`."""

    config: RunConfig


class SetMask(Command):
    """Wish for exactly these owners to be trainable from the next step on."""

    trainable: tuple[int, ...]


class SetNormMode(Command):
    """Run these BatchNorms in eval or train mode whatever the mask says; auto follows the mask."""

    owners: tuple[int, ...]
    mode: NormMode


class Step(Command):
    """Take one measured train step."""


class Train(Command):
    """Take steps until the run has taken `steps` in all; measured at the run's cadence."""

    steps: int


class Pause(Command):
    """Stop training after the step that is running."""


class StartOver(Command):
    """Put weights, buffers, optimizer, random state and batch position back to the start."""


class UndoStartOver(Command):
    """Take the last `StartOver` back; possible until the next step."""


class Audit(Command):
    """Take one step on a copy and compare every frozen tensor bit for bit."""


class Shutdown(Command):
    """End the engine."""


AnyCommand = (
    Hello
    | Open
    | SetMask
    | SetNormMode
    | Step
    | Train
    | Pause
    | StartOver
    | UndoStartOver
    | Audit
    | Shutdown
)


# --- events -------------------------------------------------------------------------------------


class Greeted(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Answer to the connection itself."""

    protocol: int
    version: str
    pid: int


class LoadingProgressed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A stage of opening began, went on or was done."""

    stage: LoadingStage
    done: bool
    detail: str = ""
    seconds: float = 0.0


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


class Validated(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The weights after `step` were evaluated on validation images."""

    start: int
    step: int
    correct: int
    total: int
    loss: float
    yardstick: bool
    """On the fixed yardstick images; else on the whole validation set."""


class NormModeChanged(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    owners: tuple[int, ...]
    mode: NormMode


class StartedOver(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Everything is as at the session's start; `start` counts up."""

    start: int
    from_step: int


class StartOverUndone(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    start: int
    step: int


class AuditFinding(msgspec.Struct, frozen=True, array_like=True):
    tensor: str
    """Name in the state dict."""
    cause: str


class Audited(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A step was taken on a copy; these frozen tensors changed."""

    tensors: int
    """How many frozen tensors were compared."""
    findings: tuple[AuditFinding, ...]


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


class Heartbeat(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Sent about once a second while the engine is busy for longer than that."""

    busy: str
    """What with, such as `train step` or `loading weights`."""
    seconds: float


class EngineFailed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Something the engine cannot go on from; it exits after this."""

    sentence: str


AnyEvent = (
    Greeted
    | LoadingProgressed
    | OpenFailed
    | SessionOpened
    | Confirmed
    | Refused
    | StepTaken
    | Validated
    | NormModeChanged
    | StartedOver
    | StartOverUndone
    | Audited
    | TrainEnded
    | ImageSkipped
    | Heartbeat
    | EngineFailed
)


# --- framing ------------------------------------------------------------------------------------

MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes; a longer length prefix means that the peer does not speak this protocol."""

_encoder = msgspec.msgpack.Encoder()
_command_decoder = msgspec.msgpack.Decoder(AnyCommand)
_event_decoder = msgspec.msgpack.Decoder(AnyEvent)


def encode(message: AnyCommand | AnyEvent) -> bytes:
    """The message as it goes over the wire, length prefix included."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


def decode_command(body: bytes) -> AnyCommand:
    """A command from its bytes without the prefix.

    Raises:
        msgspec.DecodeError: the bytes are no command of this protocol.
    """
    return _command_decoder.decode(body)


def decode_event(body: bytes) -> AnyEvent:
    """An event from its bytes without the prefix.

    Raises:
        msgspec.DecodeError: the bytes are no event of this protocol.
    """
    return _event_decoder.decode(body)

"""Every event that the engine sends, and those about its connections, commands and jobs."""

from __future__ import annotations

from typing import Literal

import msgspec

from tl_tui.protocol.checks import (
    Audited,
    CrossValidationEnded,
    FoldProgressed,
    FoldValidated,
    LrRangeTested,
    StepCostMeasured,
    WeightDriftMeasured,
)
from tl_tui.protocol.dataset import ValuesClipped
from tl_tui.protocol.inference import (
    DataEvaluated,
    ImagesPredicted,
    InferenceBegan,
    InferenceProgressed,
    ModelExported,
    ModelFileChecked,
    ScriptWritten,
)
from tl_tui.protocol.results import ImagesShown, ResultsShown
from tl_tui.protocol.session import (
    CycleBegan,
    EpochResized,
    HistorySent,
    LayerRestored,
    LoadingProgressed,
    MaskPlanned,
    NormModeChanged,
    OpenFailed,
    PlanChanged,
    RecipeChanged,
    SessionOpened,
    StartedOver,
    StartOverUndone,
)
from tl_tui.protocol.training import (
    CheckpointSaved,
    FeatureCacheReported,
    ImageSkipped,
    StepNotApplied,
    StepTaken,
    TrainBegan,
    TrainEnded,
    Validated,
)


class Greeted(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """First message of the engine on every connection: what the engine is and which run it has."""

    protocol: int
    version: str
    pid: int
    host: str = ""
    job: str = ""
    """The SLURM job that the engine runs in and ends with; empty outside of a job."""
    job_ends: float | None = None
    """When that job ends, in seconds since 1970; None if it is not known."""
    run_dir: str = ""
    """The run directory; empty, like the fields below, until the session is open."""
    arch: str = ""
    data: str = ""
    step: int = 0
    training: bool = False
    screens: int = 0
    """The number of clients that are connected already."""


class ViewersChanged(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The number of clients, or the client in control, has changed.

    Sent to each client. A client that has not received this event is the only one and in control.
    """

    clients: int
    """The number of connected clients."""
    in_control: bool
    """Whether this client is in control: the engine refuses commands from the other clients that
    would change the run. `TakeOver` moves control to its sender."""


class Confirmed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The engine has accepted a command."""

    id: int
    """The id of the command."""


class Refused(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The engine has refused a command."""

    id: int
    """The id of the command; 0 for a notice that answers none."""
    reason: str
    harmless: bool = False
    """Whether the work continues all the same; only with the id 0."""


WorkKind = Literal["step", "other"]
"""The kind of work that a heartbeat reports."""


class Heartbeat(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Sent about once per second while one piece of work takes longer than a second, and once with
    an empty activity after it."""

    activity: str
    """What the engine is doing, such as `train step` or `loading weights`; empty once the reported
    work is done."""
    seconds: float
    """The time since it began."""
    kind: WorkKind = "other"
    """Whether it is a train step."""


class JobEnded(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A job on a finished run has ended."""

    failure: str = ""
    """Why it failed, in a sentence; empty if it succeeded."""


class EngineFailed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The engine cannot continue; it exits after this event."""

    sentence: str
    """What happened, for the user."""


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
    | EpochResized
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
    | ValuesClipped
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
"""Any event; the framing tells them apart by class name."""

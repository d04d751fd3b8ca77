"""Events about jobs on finished runs: inference and export."""

from __future__ import annotations

import msgspec

from tl_tui.protocol.dataset import LeftOut
from tl_tui.protocol.measures import Measures, Temperature
from tl_tui.protocol.results import WrongImage


class InferenceBegan(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A run's model is loaded and the images to classify are listed."""

    run: str
    """The run directory."""
    checkpoint: str
    """The checkpoint file."""
    start: int
    step: int
    arch: str
    classes: tuple[str, ...]
    images: int
    """The number of files to read."""
    source: str = ""
    """Where the images come from, such as `flowers/val`; empty if they were given one by one."""
    device: str
    notes: tuple[str, ...] = ()
    """Sentences that a reader of the results should know."""
    left_out: tuple[LeftOut, ...] = ()
    """What the folders hold besides the images, by kind."""


class PredictedImage(msgspec.Struct, frozen=True, array_like=True):
    """The prediction for one image."""

    path: str
    probabilities: tuple[float, ...]
    """One per class, in the order of the run's classes."""


class UnreadableFile(msgspec.Struct, frozen=True, array_like=True):
    """A file that could not be read as an image."""

    path: str
    reason: str


class ImagesPredicted(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A batch of images was classified."""

    images: tuple[PredictedImage, ...]
    """In the order in which they were given."""
    unreadable: tuple[UnreadableFile, ...] = ()


class EvaluatedImage(msgspec.Struct, frozen=True, array_like=True):
    """The prediction for one labelled image, and its loss."""

    path: str
    label: int
    predicted: int
    probability: float
    """Probability of the predicted class, 0 to 1."""
    loss: float
    """Cross-entropy."""


class InferenceProgressed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """More files of an evaluation were processed."""

    done: int
    """The number of files so far, unreadable ones included."""
    unreadable: tuple[UnreadableFile, ...] = ()
    """Unreadable files since the previous event."""
    images: tuple[EvaluatedImage, ...] = ()
    """The images since the previous event, if the command asked for them."""


class DataEvaluated(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The result of evaluating a run's model on labelled images."""

    correct: int
    total: int
    loss: float
    """Mean cross-entropy."""
    per_class: tuple[tuple[int, int], ...]
    """(correct, total) of each class of the run."""
    confusion: tuple[tuple[int, int, int], ...]
    """(class, predicted class, number of images); pairs without images are left out."""
    most_wrong: tuple[WrongImage, ...]
    """At most 100 wrongly classified images, most confident first."""
    measures: Measures | None = None


class ModelFileChecked(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A model file was written and loaded again, and its outputs match those of the run's model."""

    name: str
    """Such as `model.safetensors`."""
    bytes: int
    max_difference: float
    """The largest absolute difference between two outputs (logits)."""
    max_output: float
    """The largest absolute output of the run's model."""
    images: int
    """The number of images compared."""
    compared_on: str
    """A description of these images, such as `16 validation images of flowers`."""


class ModelExported(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """All files of a model were written."""

    folder: str
    files: tuple[str, ...]
    """Names in the folder."""
    checkpoint: str
    step: int
    notes: tuple[str, ...] = ()
    """Sentences about what was left out."""
    temperature: Temperature | None = None
    """What was written to `model.json`, if the command asked for it."""


class ScriptWritten(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A run was written as a script."""

    path: str
    lines: int
    steps: int
    extra_files: tuple[str, ...]
    """Paths of the files that the script needs, next to it."""
    notes: tuple[str, ...]
    """Sentences that a user of the script should know."""

"""Events: what errands with a finished run tell, its model's answers and what was written."""

from __future__ import annotations

import msgspec

from tl_tui.protocol.results import WrongImage


class InferenceBegan(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The model of a run and the images that it will be asked about are there."""

    run: str
    """The run's directory."""
    checkpoint: str
    """The checkpoint's file."""
    start: int
    step: int
    arch: str
    classes: tuple[str, ...]
    images: int
    """How many files will be read."""
    where: str = ""
    """Which images they are, in words, such as `flowers/val`; empty if just these were named."""
    device: str
    notes: tuple[str, ...] = ()
    """What to know of the answers, a sentence each."""


class PredictedImage(msgspec.Struct, frozen=True, array_like=True):
    path: str
    probabilities: tuple[float, ...]
    """Of every class, in the order of the run's classes."""


class UnreadableFile(msgspec.Struct, frozen=True, array_like=True):
    path: str
    reason: str


class ImagesPredicted(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A batch of images was answered, in the order in which they were given."""

    images: tuple[PredictedImage, ...]
    unreadable: tuple[UnreadableFile, ...] = ()


class InferenceProgressed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    done: int
    """Files so far, unreadable ones included."""
    unreadable: tuple[UnreadableFile, ...] = ()
    """New ones."""


class DataEvaluated(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """What the model of a run said to labelled images, in full."""

    correct: int
    total: int
    loss: float
    """Mean cross-entropy."""
    per_class: tuple[tuple[int, int], ...]
    """(correct, total) of each class of the run."""
    confusion: tuple[tuple[int, int, int], ...]
    """(class, predicted class, images) where there are any."""
    most_wrong: tuple[WrongImage, ...]
    """Surest first, at most 100."""


class ModelFileChecked(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A file of a model was written, loaded again, and gave the same outputs."""

    name: str
    """Such as `model.safetensors`."""
    bytes: int
    difference: float
    """The largest one between an output (a logit) of the run's model and the file's."""
    largest: float
    """The largest output itself, without its sign."""
    images: int
    what: str
    """What they were compared on, in words."""


class ModelExported(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """All files are in their place."""

    folder: str
    files: tuple[str, ...]
    """Names in the folder."""
    checkpoint: str
    step: int
    notes: tuple[str, ...] = ()
    """What was left out, a sentence each."""


class ScriptWritten(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A run stands in a script now."""

    path: str
    lines: int
    steps: int
    beside: tuple[str, ...]
    """Files that the script needs beside it."""
    notes: tuple[str, ...]
    """What has to be known of it, a sentence each."""

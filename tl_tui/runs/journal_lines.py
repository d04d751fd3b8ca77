"""The lines of a journal from which the state of a run is read."""

from __future__ import annotations

from typing import Any

import msgspec

from tl_tui.runs.journal_reader import StepLine


class ValidatedLine(msgspec.Struct, frozen=True):
    """A validation."""

    start: int
    step: int
    correct: int
    total: int
    loss: float | str
    yardstick: bool
    epoch: int = 0
    best: bool = False


class StartOverLine(msgspec.Struct, frozen=True):
    """The run started over."""

    start: int
    weights: str = ""


class RewindLine(msgspec.Struct, frozen=True):
    """A start over that was undone, or a resume: the run continues after `step` of `start`."""

    start: int
    step: int


class TrainEndedLine(msgspec.Struct, frozen=True):
    """Training ended."""

    reason: str


class FoldLine(msgspec.Struct, frozen=True):
    """A fold of a cross-validation was trained and validated."""

    fold: int
    """Counted from 1."""
    folds: int
    correct: int
    total: int
    loss: float | str
    steps: int


class FoldsBeganLine(msgspec.Struct, frozen=True):
    """A cross-validation began."""

    folds: int


class FoldsEndedLine(msgspec.Struct, frozen=True):
    """A cross-validation ended."""

    folds: int
    reason: str


DECODERS: dict[bytes, msgspec.json.Decoder[Any]] = {
    b"step": msgspec.json.Decoder(StepLine),
    b"validated": msgspec.json.Decoder(ValidatedLine),
    b"start_over": msgspec.json.Decoder(StartOverLine),
    b"start_over_undone": msgspec.json.Decoder(RewindLine),
    b"resumed": msgspec.json.Decoder(RewindLine),
    b"train_ended": msgspec.json.Decoder(TrainEndedLine),
    b"folds_began": msgspec.json.Decoder(FoldsBeganLine),
    b"fold": msgspec.json.Decoder(FoldLine),
    b"folds": msgspec.json.Decoder(FoldsEndedLine),
}
"""By the name of the event."""

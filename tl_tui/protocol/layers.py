"""The layer stack as it travels: rows, owners and stages, in execution order, input first."""

from __future__ import annotations

from typing import Literal

import msgspec

Reach = Literal["updated", "passed", "unreached"]
NormMode = Literal["auto", "eval", "train"]


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

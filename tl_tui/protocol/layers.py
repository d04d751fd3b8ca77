"""The layer stack: its rows, owners and stages.

All of them are listed in execution order, input first. Messages name an owner by its index in
`StackInfo.owners`, which keeps a mask of ResNet-152 below a kilobyte.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Reach = Literal["updated", "passed", "unreached"]
"""How far the gradient comes at an owner. updated: it arrives and the weights are trained. passed:
it only passes through. unreached: it does not arrive."""
NormMode = Literal["auto", "eval", "train"]
"""Mode of a BatchNorm; auto is train if it is trainable and eval if it is frozen."""


class OwnerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter owner: a module that has parameters itself; the smallest unit of a mask."""

    name: str
    """Module path, such as `layer1.0.conv1`."""
    kind: str
    """Class name, such as `Conv2d`."""
    detail: str
    """Its shape as text, such as `64 → 128, 3×3, stride 2`; may be empty."""
    params: int
    row: int
    """Index in `StackInfo.rows`."""
    parents: tuple[int, ...]
    """Owners whose output reaches this owner without passing through another owner."""
    norm: bool
    """Whether it has running statistics, as a BatchNorm does."""


class RowInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A layer: one row of the stack."""

    name: str
    kind: str
    detail: str
    params: int
    role: str
    """What such a layer detects: edges, textures, patterns, parts, objects or classes."""
    stage: int
    """Index in `StackInfo.stages`."""
    first_owner: int
    end_owner: int
    """The row's owners are `owners[first_owner:end_owner]`."""
    output_shape: tuple[int, ...]
    """Without the batch dimension."""
    cut: bool
    """Whether all later rows depend on earlier ones only through this row's output, so that the
    model can be run from here."""
    head: bool
    """Whether it contains the new head."""


class StageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive rows that belong together, such as `layer1` to `layer4` of a ResNet."""

    name: str
    first_row: int
    end_row: int
    """The stage's rows are `rows[first_row:end_row]`."""
    role: str
    params: int
    output_shape: tuple[int, ...]


class StackInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The layer stack of a model."""

    rows: tuple[RowInfo, ...]
    owners: tuple[OwnerInfo, ...]
    stages: tuple[StageInfo, ...]
    traced: bool
    """Whether torch.fx could trace the graph; otherwise `parents` follow the order of execution."""

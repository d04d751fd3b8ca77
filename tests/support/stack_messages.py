"""Messages for tests: the stacks of ResNets, sessions on them, and steps.

The stacks have the structure and the parameter counts of torchvision's ResNet-18 and ResNet-152.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tl_tui.estimates.gradient_reach import combine_reach, predict_reach
from tl_tui.protocol.checks import SavedTensors, StepCostMeasured
from tl_tui.protocol.config import Recipe
from tl_tui.protocol.layers import OwnerInfo, Reach, RowInfo, StackInfo, StageInfo
from tl_tui.protocol.session import Cycle, SessionOpened
from tl_tui.protocol.training import LayerMeasurement, StepTaken

ROLES = ("textures", "patterns", "parts", "objects")


@dataclass
class _Builder:
    """Collects owners, rows and stages in execution order."""

    owners: list[OwnerInfo] = field(default_factory=list)
    rows: list[RowInfo] = field(default_factory=list)
    stages: list[StageInfo] = field(default_factory=list)

    def conv(
        self, name: str, inp: int, out: int, size: int, stride: int, above: tuple[int, ...]
    ) -> int:
        detail = f"{inp} → {out}, {size}×{size}" + (f", stride {stride}" if stride > 1 else "")
        return self._owner(name, "Conv2d", detail, inp * out * size * size, above)

    def norm(self, name: str, channels: int, above: int) -> int:
        return self._owner(name, "BatchNorm2d", str(channels), 2 * channels, (above,))

    def linear(self, name: str, inp: int, out: int, above: tuple[int, ...]) -> int:
        return self._owner(name, "Linear", f"{inp} → {out}", inp * out + out, above)

    def _owner(self, name: str, kind: str, detail: str, params: int, above: tuple[int, ...]) -> int:
        self.owners.append(
            OwnerInfo(
                name=name,
                kind=kind,
                detail=detail,
                params=params,
                row=len(self.rows),
                parents=above,
                norm=kind == "BatchNorm2d",
            )
        )
        return len(self.owners) - 1

    def row(self, name: str, kind: str, detail: str, role: str, shape: tuple[int, ...]) -> None:
        """Add a row that holds the owners added since the last row."""
        first = self.rows[-1].end_owner if self.rows else 0
        stage = name.partition(".")[0]
        params = sum(owner.params for owner in self.owners[first:])
        if self.stages and self.stages[-1].name == stage:
            before = self.stages.pop()
            start, total = before.first_row, before.params + params
        else:
            start, total = len(self.rows), params
        self.rows.append(
            RowInfo(
                name=name,
                kind=kind,
                detail=detail,
                params=params,
                role=role,
                stage=len(self.stages),
                first_owner=first,
                end_owner=len(self.owners),
                output_shape=shape,
                cut=name != "fc",
                head=name == "fc",
            )
        )
        self.stages.append(
            StageInfo(
                name=stage,
                first_row=start,
                end_row=len(self.rows),
                role=role,
                params=total,
                output_shape=shape,
            )
        )

    def stack(self) -> StackInfo:
        return StackInfo(
            rows=tuple(self.rows),
            owners=tuple(self.owners),
            stages=tuple(self.stages),
            traced=True,
        )


def _resnet(blocks: Sequence[int], bottleneck: bool, classes: int, side: int) -> StackInfo:
    build = _Builder()
    side //= 2
    build.norm("bn1", 64, build.conv("conv1", 3, 64, 7, 2, ()))
    outs: tuple[int, ...] = (1,)
    side //= 2
    build.row("conv1", "Conv2d", "3 → 64, 7×7, stride 2", "edges", (64, side, side))
    channels = 64
    for number, count in enumerate(blocks):
        width = 64 * 2**number
        out = width * 4 if bottleneck else width
        for block in range(count):
            name = f"layer{number + 1}.{block}"
            stride = 2 if block == 0 and number > 0 else 1
            side //= stride
            kernels = (
                [(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
                if bottleneck
                else [(channels, out, 3, stride), (out, out, 3, 1)]
            )
            above = outs
            for index, (inp, to, size, step) in enumerate(kernels, start=1):
                conv = build.conv(f"{name}.conv{index}", inp, to, size, step, above)
                above = (build.norm(f"{name}.bn{index}", to, conv),)
            if stride > 1 or channels != out:
                conv = build.conv(f"{name}.downsample.0", channels, out, 1, stride, outs)
                above += (build.norm(f"{name}.downsample.1", out, conv),)
            detail = f"{channels} → {out}" + (", stride 2" if stride > 1 else "")
            kind = "Bottleneck" if bottleneck else "BasicBlock"
            build.row(name, kind, detail, ROLES[number], (out, side, side))
            outs, channels = above, out
    build.linear("fc", channels, classes, outs)
    build.row("fc", "Linear", f"{channels} → {classes}", "classes", (classes,))
    return build.stack()


def resnet18_stack() -> StackInfo:
    """Return ResNet-18 at 224 px with a head for two classes: 10 rows, 11,177,538 parameters."""
    return _resnet((2, 2, 2, 2), bottleneck=False, classes=2, side=224)


def small_stack() -> StackInfo:
    """Return a ResNet of two blocks: 4 rows."""
    return _resnet((1, 1), bottleneck=False, classes=2, side=64)


def bottleneck_stack() -> StackInfo:
    """Return ResNet-152 at 224 px with a head for two classes: 52 rows."""
    return _resnet((3, 8, 36, 3), bottleneck=True, classes=2, side=224)


def owners_named(stack: StackInfo, *names: str) -> tuple[int, ...]:
    """Return the owners in these modules, rows or stages; fail if a name matches none."""
    indices: list[int] = []
    for name in names:
        row = next((row for row in stack.rows if row.name == name), None)
        owners = (
            list(range(row.first_owner, row.end_owner))
            if row
            else [
                index
                for index, owner in enumerate(stack.owners)
                if owner.name == name or owner.name.startswith(name + ".")
            ]
        )
        assert owners, f"no layer is named {name}"
        indices += owners
    return tuple(sorted(set(indices)))


def opened(
    stack: StackInfo | None = None, trainable: Collection[int] | None = None, **changes: Any
) -> SessionOpened:
    """Return the message of an open session; feature extraction unless owners are given.

    Args:
        stack: The stack; ResNet-18 if None.
        trainable: The owners to train.
        changes: Other fields of the message.
    """
    stack = resnet18_stack() if stack is None else stack
    rows, stages = stack.rows, stack.stages

    def from_stage(back: int) -> tuple[int, ...]:
        return tuple(range(rows[stages[-back].first_row].first_owner, len(stack.owners)))

    strategies = {
        "feature-extraction": from_stage(1),
        "last-stage": from_stage(min(2, len(stages))),
        "last-two-stages": from_stage(min(3, len(stages))),
        "full": tuple(range(len(stack.owners))),
        "bn-only": tuple(i for i, o in enumerate(stack.owners) if o.norm or rows[o.row].head),
    }
    wanted = strategies["feature-extraction"] if trainable is None else tuple(sorted(trainable))
    fields: dict[str, Any] = {
        "arch": "resnet18" if len(rows) == 10 else "resnet152",
        "weights": "ImageNet V1",
        "weights_reason": "",
        "pretrained": True,
        "data": "hot dog",
        "classes": ("hot dog", "not hot dog"),
        "train_images": 240,
        "val_images": 80,
        "chance": 0.5,
        "majority_class": 0,
        "majority": 40,
        "yardstick": 64,
        "yardstick_majority": 32,
        "device": "cpu",
        "device_warning": "",
        "memory_total": None,
        "image_size": 224,
        "batch_size": 32,
        "recipe": Recipe(lr_head=1e-2, lr_pretrained=1e-3, weight_decay=1e-4),
        "rates": tuple(1e-2 if row.head else 1e-3 for row in stack.rows),
        "batches_per_epoch": 8,
        "cycle": Cycle(after_step=0, steps=80),
        "plan": None,
        "precisions": ("fp32",),
        "seed": 0,
        "run_dir": "runs/test",
        "stack": stack,
        "strategies": strategies,
        "strategy": "feature-extraction" if trainable is None else None,
        "trainable": wanted,
        "norm_modes": {},
        "start": 0,
        "step": 0,
        "skipped_images": 0,
        "notes": (),
    }
    return SessionOpened(**(fields | changes))


def from_top(stack: StackInfo) -> list[tuple[str, tuple[int, ...]]]:
    """Return masks from the head down to all layers, one more stage each, with the stage's name."""
    every = len(stack.owners)
    first = [stack.rows[stage.first_row].first_owner for stage in stack.stages]
    names = ["head", *(stage.name for stage in reversed(stack.stages[:-1]))]
    return [
        (name, tuple(range(begin, every)))
        for name, begin in zip(names, reversed(first), strict=True)
    ]


def step_cost_measured(stack: StackInfo) -> StepCostMeasured:
    """Return a step cost with equal owners: 0.1 ms per pass and one megabyte saved."""
    count = len(stack.owners)
    each = (0.1,) * count
    return StepCostMeasured(
        batch=32,
        forward_ms=each,
        input_grad_ms=each,
        weight_grad_ms=each,
        fixed_ms=1.0,
        saved=tuple(
            SavedTensors(owner=owner, bytes=1_000_000, if_reached=(owner,), if_trainable=(owner,))
            for owner in range(count)
        ),
        gradient_bytes=tuple(4 * owner.params for owner in stack.owners),
        state_bytes=tuple(4 * owner.params for owner in stack.owners),
        forward_bytes=(1_000_000,) * count,
        forward_extra_bytes=(1_000_000,) * count,
        backward_bytes=(1_000_000,) * count,
        saved_overhead=0.0,
        gradient_overhead=1.0,
        fixed_bytes=20_000_000,
    )


def measured(
    reach: Reach,
    grad_norm: float | None = None,
    update_ratio: float | None = None,
    arrival_ms: float | None = None,
    nonfinite: int = 0,
) -> LayerMeasurement:
    """Return a layer's measurement, with a weight norm of 10."""
    return LayerMeasurement(reach, grad_norm, 10.0, update_ratio, nonfinite, arrival_ms)


def step_taken(
    stack: StackInfo,
    trainable: Collection[int],
    *,
    step: int = 1,
    norms: Mapping[str, float] | None = None,
    arrivals: Mapping[str, float] | None = None,
    rows: Mapping[str, LayerMeasurement] | None = None,
    owners: Mapping[str, LayerMeasurement] | None = None,
    backward_ms: float | None = 5.0,
    **changes: Any,
) -> StepTaken:
    """Return a measured step; by default the gradient reaches what the graph predicts.

    Args:
        stack: The stack.
        trainable: The applied mask.
        step: The number of the step.
        norms: Gradient norms by row (default: 0.1), spread evenly over a row's owners.
        arrivals: Arrival times by row in ms (default: evenly spaced, starting at the loss).
        rows: Measurements by row that replace the default ones, also for the row's owners.
        owners: Measurements by owner that replace the default ones.
        backward_ms: The time of the backward pass in ms.
        changes: Other fields of the step.
    """
    trainable = frozenset(trainable)
    reach = predict_reach([owner.parents for owner in stack.owners], trainable)
    by_row: list[LayerMeasurement] = []
    by_owner: list[LayerMeasurement] = []
    count = len(stack.rows)
    for index, row in enumerate(stack.rows):
        row_owners = range(row.first_owner, row.end_owner)
        learning = [owner for owner in row_owners if owner in trainable]
        norm = (norms or {}).get(row.name, 0.1)
        arrival = (arrivals or {}).get(
            row.name, (backward_ms or 5.0) * (count - index) / (count + 1)
        )
        given = (rows or {}).get(row.name)
        for owner in row_owners:
            name = stack.owners[owner].name
            own = reach[owner]
            default = measured(
                own,
                norm / math.sqrt(len(learning)) if own == "updated" else None,
                5e-5 if own == "updated" else None,
                None if own == "unreached" else arrival,
            )
            by_owner.append((owners or {}).get(name) or given or default)
        total = combine_reach(reach[owner] for owner in row_owners)
        by_row.append(
            given
            or measured(
                total,
                norm if total == "updated" else None,
                5e-5 if total == "updated" else None,
                None if total == "unreached" else arrival,
            )
        )
    fields: dict[str, Any] = {
        "start": 0,
        "step": step,
        "epoch": 1,
        "loss": 0.431,
        "correct": 27,
        "batch": 32,
        "seconds": 0.0098,
        "mask": tuple(sorted(trainable)),
        "forward_ms": 3.0,
        "backward_ms": backward_ms,
        "update_ms": 0.5,
        "rows": tuple(by_row),
        "owners": tuple(by_owner),
    }
    return StepTaken(**(fields | changes))

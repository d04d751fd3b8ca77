"""Find the rows, stages and parameter owners of a model, in order of execution.

A *row* is what the user freezes as one layer. A plain `nn.Sequential` is a stage, and its children
are walked in turn. Any other child is a row named by its module path, but a child without
parameters, or a normalisation layer, joins the row before it. An *owner* is a module with
parameters of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

NORMALISATIONS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.LocalResponseNorm,
)
RUNNING_NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
"""The normalisation layers that may keep running statistics."""


@dataclass
class Owner:
    """A module with parameters of its own."""

    name: str
    """The module path; empty for the model itself."""
    module: nn.Module
    row: int
    """Index of the row."""
    parents: tuple[int, ...] = ()
    """Indices of the owners whose outputs feed this one directly."""

    @cached_property
    def parameters(self) -> list[nn.Parameter]:
        """The module's own parameters, without those of its submodules. They are never replaced."""
        return list(self.module.parameters(recurse=False))

    @property
    def keeps_statistics(self) -> bool:
        """Whether the module is a normalisation layer with running statistics."""
        return isinstance(self.module, RUNNING_NORMS) and self.module.running_mean is not None


@dataclass
class Row:
    """A layer: neighbouring modules that are frozen as one."""

    name: str
    modules: list[tuple[str, nn.Module]]
    """The modules with their paths. The first names the row; the others joined it."""
    stage: int
    """Index of the stage."""
    owners: list[int] = field(default_factory=list)
    """Indices of the owners in the row, which are consecutive."""
    input_shape: tuple[int, ...] = ()
    """The shape of the first module's input, without the batch dimension."""
    output_shape: tuple[int, ...] = ()
    """The shape of the first module's output, without the batch dimension."""
    head: bool = False
    """Whether the row contains the new head."""
    role: str = ""
    """What the row detects, such as `edges`; for display."""

    @property
    def main(self) -> nn.Module:
        """The module that names the row."""
        return self.modules[0][1]


@dataclass
class Stage:
    """A group of consecutive rows."""

    name: str
    first_row: int
    end_row: int
    """Index after the last row."""


class evaluating:
    """A context manager that puts all modules in eval mode, and restores their modes on exit."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __enter__(self) -> None:
        self.modes = {module: module.training for module in self.model.modules()}
        self.model.eval()

    def __exit__(self, *_: object) -> None:
        for module, training in self.modes.items():
            module.training = training


Shapes = dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
"""Input and output shape of each module by path, without the batch dimension."""


def observe(model: nn.Module, example: Tensor) -> tuple[dict[str, int], Shapes]:
    """Run one forward pass in eval mode and record the calls of all modules.

    Args:
        model: The model. It is not changed.
        example: An input, such as [1, 3, height, width].

    Returns:
        The order of each called module's first call, by path, and the shapes of all modules.
    """
    order: dict[str, int] = {}
    shapes: Shapes = {}
    handles = []

    def shape(value: object) -> tuple[int, ...]:
        while isinstance(value, (tuple, list)) and value:
            value = value[0]
        return tuple(value.shape[1:]) if isinstance(value, Tensor) else ()

    for name, module in model.named_modules():

        def before(module: nn.Module, args: tuple, name: str = name) -> None:
            order.setdefault(name, len(order))

        def after(module: nn.Module, args: tuple, output: object, name: str = name) -> None:
            shapes.setdefault(name, (shape(args), shape(output)))

        handles += [
            module.register_forward_pre_hook(before),
            module.register_forward_hook(after),
        ]
    try:
        with torch.no_grad(), evaluating(model):
            model(example)
    finally:
        for handle in handles:
            handle.remove()
    for name, _ in model.named_modules():
        shapes.setdefault(name, ((), ()))
    return order, shapes


def find_rows(model: nn.Module, order: dict[str, int]) -> tuple[list[Row], list[Stage]]:
    """Return the rows and stages of a model, in order of execution.

    Args:
        model: The model.
        order: The order of each module's first call, by path; see `observe`.
    """
    rows: list[Row] = []
    stages: list[Stage] = []

    def walk(parent: nn.Module, path: str) -> None:
        prefix = f"{path}." if path else ""
        children = [(prefix + name, child) for name, child in parent.named_children()]
        called = [(name, child) for name, child in children if name in order]
        for name, child in sorted(called, key=lambda item: order[item[0]]):
            has_parameters = any(True for _ in child.parameters())
            if type(child) is nn.Sequential and has_parameters:
                walk(child, name)
            elif (not has_parameters or isinstance(child, NORMALISATIONS)) and rows:
                rows[-1].modules.append((name, child))
            elif has_parameters:
                stage_name = path or name
                if not stages or stages[-1].name != stage_name:
                    stages.append(Stage(stage_name, len(rows), len(rows)))
                stages[-1].end_row = len(rows) + 1
                rows.append(Row(name, [(name, child)], len(stages) - 1))

    walk(model, "")
    return rows, stages


def find_owners(model: nn.Module, rows: list[Row], order: dict[str, int]) -> list[Owner]:
    """Return the owners that the forward pass uses, by row, then in order of execution.

    A container of rows that has parameters of its own, such as ViT's class token, belongs to the
    first row within it. The indices of the owners are also stored in the rows.

    Args:
        model: The model.
        rows: The rows of the model; see `find_rows`.
        order: The order of each module's first call, by path; see `observe`.
    """
    row_of: dict[str, int] = {}
    for number, row in enumerate(rows):
        for path, module in row.modules:
            for name, _ in module.named_modules(prefix=path):
                row_of.setdefault(name, number)
    owners: list[Owner] = []
    for name, module in model.named_modules():
        if not any(True for _ in module.parameters(recurse=False)):
            continue
        if name in row_of:
            owners.append(Owner(name, module, row_of[name]))
        elif name in order:
            inside = [
                number for path, number in row_of.items() if not name or path.startswith(name)
            ]
            owners.append(Owner(name, module, min(inside)))
    # A module that is never called itself, only used by its parent, comes right after the parent.
    sort_key: dict[str, tuple[int, ...]] = {}
    for owner in owners:
        called = owner.name
        while called not in order:
            called = called.rpartition(".")[0]
        sort_key[owner.name] = (order[called], 0 if called == owner.name else 1)
    owners.sort(key=lambda owner: (owner.row, owner.name == "", sort_key[owner.name]))
    for number, owner in enumerate(owners):
        rows[owner.row].owners.append(number)
    return owners

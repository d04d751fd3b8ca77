"""Rows, stages and parameter owners, found by walking a model in the order it is executed.

A *row* is what the user freezes as one: every plain `nn.Sequential` is opened (it is a stage), each
other child is a row under its module path, and a child without parameters, or a normalisation,
joins the row before it. An *owner* is a module with parameters of its own.
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
"""The normalisations that may keep running statistics."""


@dataclass
class Owner:
    """A module with parameters of its own."""

    name: str
    module: nn.Module
    row: int
    parents: tuple[int, ...] = ()

    @cached_property
    def parameters(self) -> list[nn.Parameter]:
        """Its own parameters, not those of modules within it. They are never replaced."""
        return list(self.module.parameters(recurse=False))

    @property
    def keeps_statistics(self) -> bool:
        return isinstance(self.module, RUNNING_NORMS) and self.module.running_mean is not None


@dataclass
class Row:
    """A layer: neighbouring modules that are frozen as one."""

    name: str
    modules: list[tuple[str, nn.Module]]
    """By path; the first one gives the row its name, the others joined it."""
    stage: int
    owners: list[int] = field(default_factory=list)
    input_shape: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    head: bool = False
    role: str = ""

    @property
    def main(self) -> nn.Module:
        return self.modules[0][1]


@dataclass
class Stage:
    name: str
    first_row: int
    end_row: int


class evaluating:
    """All modules in eval mode for a while; each one's own mode is put back."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __enter__(self) -> None:
        self.modes = {module: module.training for module in self.model.modules()}
        self.model.eval()

    def __exit__(self, *_: object) -> None:
        for module, training in self.modes.items():
            module.training = training


Shapes = dict[str, tuple[tuple[int, ...], tuple[int, ...]]]


def observe(model: nn.Module, example: Tensor) -> tuple[dict[str, int], Shapes]:
    """One forward pass: the order of each module's first call, and its input and output shape."""
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
    rows: list[Row] = []
    stages: list[Stage] = []

    def walk(parent: nn.Module, path: str) -> None:
        prefix = f"{path}." if path else ""
        children = [(prefix + name, child) for name, child in parent.named_children()]
        called = [(name, child) for name, child in children if name in order]
        for name, child in sorted(called, key=lambda item: order[item[0]]):
            bare = not any(True for _ in child.parameters())
            if type(child) is nn.Sequential and not bare:
                walk(child, name)
            elif (bare or isinstance(child, NORMALISATIONS)) and rows:
                rows[-1].modules.append((name, child))
            elif not bare:
                stage_name = path or name
                if not stages or stages[-1].name != stage_name:
                    stages.append(Stage(stage_name, len(rows), len(rows)))
                stages[-1].end_row = len(rows) + 1
                rows.append(Row(name, [(name, child)], len(stages) - 1))

    walk(model, "")
    return rows, stages


def find_owners(model: nn.Module, rows: list[Row], order: dict[str, int]) -> list[Owner]:
    """Every owner that is used, grouped by row, in execution order within it.

    A container above the rows that holds parameters itself (ViT's class token) joins the row that
    comes first within it.
    """
    where: dict[str, int] = {}
    for number, row in enumerate(rows):
        for path, module in row.modules:
            for name, _ in module.named_modules(prefix=path):
                where.setdefault(name, number)
    owners: list[Owner] = []
    for name, module in model.named_modules():
        if not any(True for _ in module.parameters(recurse=False)):
            continue
        if name in where:
            owners.append(Owner(name, module, where[name]))
        elif name in order:
            within = [number for path, number in where.items() if not name or path.startswith(name)]
            owners.append(Owner(name, module, min(within)))
    # A module that is only used through its parent's functions comes right after the parent.
    place: dict[str, tuple[int, ...]] = {}
    for owner in owners:
        above = owner.name
        while above not in order:
            above = above.rpartition(".")[0]
        place[owner.name] = (order[above], 0 if above == owner.name else 1)
    owners.sort(key=lambda owner: (owner.row, owner.name == "", place[owner.name]))
    for number, owner in enumerate(owners):
        rows[owner.row].owners.append(number)
    return owners

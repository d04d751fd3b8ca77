"""The one optimizer of a run: every parameter from the start, a group a row.

A frozen parameter has no gradient (`grad is None`), so neither momentum nor weight decay moves it.
Its state is dropped when it freezes, and made anew before the step when it thaws, so that running
out of memory can hit forward or backward but never the middle of the update.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from engine.model.layer_stack import Stack
from tl_tui.protocol.config import Recipe

State = dict[str, dict[str, Tensor]]
"""Optimizer state by parameter name, then by what PyTorch calls it (`momentum_buffer`, …)."""


class RowOptimizer:
    """SGD or AdamW of PyTorch's own over the rows of a stack."""

    def __init__(self, stack: Stack, recipe: Recipe) -> None:
        self.kind = recipe.optimizer
        self.names: dict[Tensor, str] = {
            parameter: name for name, parameter in stack.model.named_parameters()
        }
        groups = [
            {
                "params": [p for owner in row.owners for p in stack.owners[owner].parameters],
                "name": row.name,
            }
            for row in stack.rows
        ]
        self.torch: torch.optim.Optimizer
        devices = {parameter.device.type for parameter in self.names}
        self.gated = devices == {"cuda"}
        """It can be told on the device whether to step, so that nothing waits for that."""
        # In one pass over the weights in place of three, and for SGD the same bits.
        self._fused = self.gated or (self.kind == "sgd" and devices == {"cpu"})
        fused = True if self._fused else None
        if self.kind == "adamw":
            self.torch = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=fused)
        else:
            self.torch = torch.optim.SGD(
                groups, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=fused
            )

    def set_hyperparameters(self, recipe: Recipe) -> None:
        """Take momentum and weight decay from a recipe for the same kind of optimizer."""
        for group in self.torch.param_groups:
            group["weight_decay"] = recipe.weight_decay
            if self.kind == "sgd":
                group["momentum"] = recipe.momentum

    def set_rates(self, rates: Sequence[float], factor: float) -> None:
        """The learning rate of each row for the coming step: its base rate times the factor."""
        for group, rate in zip(self.torch.param_groups, rates, strict=True):
            group["lr"] = rate * factor

    def make_ready(self, trainable: Iterable[nn.Parameter], frozen: Iterable[nn.Parameter]) -> None:
        """Drop the state of frozen parameters; make that of trainable ones where there is none."""
        for parameter in frozen:
            self.torch.state.pop(parameter, None)
        for parameter in trainable:
            if not self.torch.state.get(parameter):
                self.torch.state[parameter] = self._fresh(parameter)

    def _fresh(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """What the optimizer itself would begin from."""
        if self.kind == "adamw":
            return {
                "step": torch.zeros((), device=parameter.device if self._fused else "cpu"),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        # Zeros give what SGD would make of the first gradient: buffer = gradient.
        return {"momentum_buffer": torch.zeros_like(parameter)}

    def zero_grad(self) -> None:
        """Every parameter is without a gradient after (`grad is None`)."""
        for parameter in self.names:
            if parameter.grad is not None:
                parameter.grad = None

    def step(self, only_if_finite: Tensor | None = None) -> None:
        """Move the parameters that have a gradient.

        Rows with one rate are taken together, which changes no bit and costs fewer calls.

        Args:
            only_if_finite: If one of its numbers is not, nothing moves; for gated ones alone.
        """
        rows, moving = self.torch.param_groups, self._moving()
        self.torch.param_groups = moving
        if only_if_finite is not None:
            # As `torch.amp.GradScaler` tells it.
            self.torch.grad_scale = None  # type: ignore[attr-defined]
            self.torch.found_inf = (~torch.isfinite(only_if_finite).all()).float()  # type: ignore[attr-defined]
        try:
            self.torch.step()
        finally:
            self.torch.param_groups = rows
            if only_if_finite is not None:
                del self.torch.found_inf, self.torch.grad_scale  # type: ignore[attr-defined]
        if self._fused:  # its kernel writes past the versions by which the feature cache goes
            torch.autograd.graph.increment_version([p for group in moving for p in group["params"]])

    def make_room(self) -> None:
        """Make sure that the update finds the memory it works in: running out in its middle would
        leave some weights moved and others not.

        Raises:
            RuntimeError, torch.OutOfMemoryError: it does not; nothing has moved.
        """
        if self._fused:
            return  # it works in no memory but the weights' and its own state
        copies = 2 if self.kind == "adamw" else 1
        group: list[Tensor] = max(
            (group["params"] for group in self._moving()),
            key=lambda parameters: sum(p.numel() for p in parameters),
            default=[],
        )
        room = [torch.empty_like(p, requires_grad=False) for p in group for _ in range(copies)]
        del room  # the allocator keeps it

    def _moving(self) -> list[dict[str, Any]]:
        """The parameters that have a gradient, in a group for each rate."""
        together: dict[float, dict[str, Any]] = {}
        for group in self.torch.param_groups:
            moving = [parameter for parameter in group["params"] if parameter.grad is not None]
            if moving:
                together.setdefault(group["lr"], {**group, "params": []})["params"] += moving
        return list(together.values())

    # --- its state ------------------------------------------------------------------------------

    def state(self) -> State:
        """A copy of the state on the host, by parameter name."""
        return {
            self.names[parameter]: {
                key: value.detach().to("cpu", copy=True)
                for key, value in state.items()
                if isinstance(value, Tensor)
            }
            for parameter, state in self.torch.state.items()
            if state
        }

    def load(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Put a state back, bit for bit; parameters that it does not name have none after."""
        self.torch.state.clear()
        for parameter, name in self.names.items():
            if name in state:
                self.torch.state[parameter] = {
                    key: self._count(value, parameter) if key == "step" else _like(value, parameter)
                    for key, value in state[name].items()
                }

    def _count(self, value: Tensor, parameter: Tensor) -> Tensor:
        """PyTorch counts steps on the host, unless it steps in fused kernels."""
        return value.to(parameter.device if self._fused else "cpu", copy=True)


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """The value in the parameter's place and memory format."""
    return torch.empty_like(parameter, requires_grad=False).copy_(value)

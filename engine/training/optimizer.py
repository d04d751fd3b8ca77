"""The optimizer of a run. It holds every parameter from the start, in one group per row.

A frozen parameter has no gradient (`grad is None`), so neither momentum nor weight decay changes
it. Its state is dropped when it is frozen. When it is unfrozen, new state is allocated before the
step, so that memory can run out in the forward or backward pass, but not during the update.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from engine.model.layer_stack import Stack
from tl_tui.protocol.config import Recipe

State = dict[str, dict[str, Tensor]]
"""Optimizer state by parameter name, then by PyTorch's key (`momentum_buffer`, …)."""


def is_fused(kind: str, device: str) -> bool:
    """Return whether the fused kernel is used, which reads the weights once instead of three times.

    It rounds differently from the other kernels, so whatever repeats a run must use it too.

    Args:
        kind: The kind of optimizer, `sgd` or `adamw`.
        device: The type of the device; empty if there are several.
    """
    return device == "cuda" or (kind == "sgd" and device == "cpu")


class RowOptimizer:
    """PyTorch's SGD or AdamW over the rows of a layer stack."""

    def __init__(self, stack: Stack, recipe: Recipe) -> None:
        """
        Args:
            stack: The model's layer stack.
            recipe: The kind of optimizer, its momentum and its weight decay.
        """
        self.kind = recipe.optimizer
        self.names: dict[Tensor, str] = {
            parameter: name for name, parameter in stack.model.named_parameters()
        }
        """The name of every parameter in the state dict."""
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
        """Whether the device itself can skip an update, so that the host need not wait for it."""
        self._fused = is_fused(self.kind, devices.pop() if len(devices) == 1 else "")
        fused = True if self._fused else None
        if self.kind == "adamw":
            self.torch = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=fused)
        else:
            self.torch = torch.optim.SGD(
                groups, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=fused
            )

    def set_hyperparameters(self, recipe: Recipe) -> None:
        """Set momentum and weight decay from a recipe with the same kind of optimizer."""
        for group in self.torch.param_groups:
            group["weight_decay"] = recipe.weight_decay
            if self.kind == "sgd":
                group["momentum"] = recipe.momentum

    def set_rates(self, rates: Sequence[float], factor: float) -> None:
        """Set the learning rates of the next step.

        Args:
            rates: The base rate of each row.
            factor: The factor of the schedule, which multiplies every rate.
        """
        for group, rate in zip(self.torch.param_groups, rates, strict=True):
            group["lr"] = rate * factor

    def make_ready(self, trainable: Iterable[nn.Parameter], frozen: Iterable[nn.Parameter]) -> None:
        """Drop the state of frozen parameters and create missing state of trainable ones."""
        for parameter in frozen:
            self.torch.state.pop(parameter, None)
        for parameter in trainable:
            if not self.torch.state.get(parameter):
                self.torch.state[parameter] = self._initial_state(parameter)

    def _initial_state(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """Return the state that the optimizer itself would start from."""
        if self.kind == "adamw":
            return {
                "step": torch.zeros((), device=parameter.device if self._fused else "cpu"),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        # From zeros, the first step sets the buffer to the gradient, as in SGD itself.
        return {"momentum_buffer": torch.zeros_like(parameter)}

    def zero_grad(self) -> None:
        """Set every gradient to None."""
        for parameter in self.names:
            if parameter.grad is not None:
                parameter.grad = None

    def step(self, only_if_finite: Tensor | None = None) -> None:
        """Update the parameters that have a gradient.

        Rows with the same learning rate are updated together, which needs fewer calls and gives
        the same bits.

        Args:
            only_if_finite: If any of its elements is not finite, the device skips the update. Only
                for gated optimizers.
        """
        rows, updated = self.torch.param_groups, self._groups_with_gradients()
        self.torch.param_groups = updated
        if only_if_finite is not None:
            # The mechanism of `torch.amp.GradScaler`.
            self.torch.grad_scale = None  # type: ignore[attr-defined]
            self.torch.found_inf = (~torch.isfinite(only_if_finite).all()).float()  # type: ignore[attr-defined]
        try:
            self.torch.step()
        finally:
            self.torch.param_groups = rows
            if only_if_finite is not None:
                del self.torch.found_inf, self.torch.grad_scale  # type: ignore[attr-defined]
        if self._fused:  # fused kernels leave the versions alone that the feature cache relies on
            parameters = [p for group in updated for p in group["params"]]
            torch.autograd.graph.increment_version(parameters)

    def make_room(self) -> None:
        """Make sure that there is enough memory for the update.

        If memory ran out during the update, some weights would be updated and others not.

        Raises:
            RuntimeError, torch.OutOfMemoryError: There is not enough memory. Nothing was updated.
        """
        if self._fused:
            return  # fused kernels need no temporary memory
        copies = 2 if self.kind == "adamw" else 1
        group: list[Tensor] = max(
            (group["params"] for group in self._groups_with_gradients()),
            key=lambda parameters: sum(p.numel() for p in parameters),
            default=[],
        )
        room = [torch.empty_like(p, requires_grad=False) for p in group for _ in range(copies)]
        del room  # the allocator keeps the memory for the update

    def _groups_with_gradients(self) -> list[dict[str, Any]]:
        """Return the parameters that have a gradient, in one group per learning rate."""
        groups: dict[float, dict[str, Any]] = {}
        for row in self.torch.param_groups:
            parameters = [parameter for parameter in row["params"] if parameter.grad is not None]
            if parameters:
                groups.setdefault(row["lr"], {**row, "params": []})["params"] += parameters
        return list(groups.values())

    # --- state ----------------------------------------------------------------------------------

    def state(self) -> State:
        """Return a copy of the state on the host, by parameter name."""
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
        """Restore a state bit for bit. Parameters that it does not contain have no state then."""
        self.torch.state.clear()
        for parameter, name in self.names.items():
            if name in state:
                self.torch.state[parameter] = {
                    key: self._step_count(value, parameter)
                    if key == "step"
                    else _copy_like(value, parameter)
                    for key, value in state[name].items()
                }

    def _step_count(self, value: Tensor, parameter: Tensor) -> Tensor:
        """Return a step count on the device where PyTorch expects it: the host, unless fused."""
        return value.to(parameter.device if self._fused else "cpu", copy=True)


def _copy_like(value: Tensor, parameter: Tensor) -> Tensor:
    """Return a copy with the device and memory format of the parameter."""
    return torch.empty_like(parameter, requires_grad=False).copy_(value)

"""How far each layer has moved from the weights it began with.

The direct measure of forgetting: ‖w − w₀‖ / ‖w₀‖ over all parameters of a row, and for BatchNorms
how far their running means have drifted. Taken between steps, a row at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from engine.model.layer_stack import Stack
from tl_tui.protocol.checks import WeightDriftMeasured


class WeightDrift:
    """Measures distances from one start; rows that did not change are not measured again."""

    def __init__(self, stack: Stack, first: Mapping[str, Tensor]) -> None:
        """
        Args:
            stack: The stack; its model is what moves.
            first: Parameters and buffers of the start, by name in the state dict, on the host.
        """
        self.stack = stack
        self.first = first
        self._rows = [0.0] * len(stack.rows)
        self._versions: list[tuple[int, ...]] = [()] * len(stack.rows)

    def measure(self, step: int) -> Iterator[WeightDriftMeasured | None]:
        """A row a unit; at last the distances of all."""
        for number, row in enumerate(self.stack.rows):
            parameters = [
                (f"{self.stack.owners[owner].name}.{name}", parameter)
                for owner in row.owners
                for name, parameter in self.stack.owners[owner].module.named_parameters(
                    recurse=False
                )
            ]
            versions = tuple(parameter._version for _, parameter in parameters)
            if versions == self._versions[number]:
                continue
            self._rows[number] = self._distance(parameters)
            self._versions[number] = versions
            yield None
        yield WeightDriftMeasured(
            step=step, rows=tuple(self._rows), running_mean_drift=self._drift()
        )

    def _distance(self, parameters: list[tuple[str, torch.nn.Parameter]]) -> float:
        with torch.no_grad():
            apart, whole = 0.0, 0.0
            for name, parameter in parameters:
                first = self.first[name.removeprefix(".")].to(parameter.device)
                norms = torch.stack([(parameter - first).double().norm(), first.double().norm()])
                change, size = norms.tolist()
                apart, whole = apart + change**2, whole + size**2
        return float((apart / whole) ** 0.5) if whole else 0.0

    def _drift(self) -> dict[int, float]:
        """‖Δ running mean / running deviation at the start‖ / √channels, where it is not 0."""
        drift: dict[int, float] = {}
        for number, owner in enumerate(self.stack.owners):
            if not owner.keeps_statistics:
                continue
            first = self.first[f"{owner.name}.running_mean"]
            deviation = self.first[f"{owner.name}.running_var"].clamp(min=1e-12).sqrt()
            now = owner.module.running_mean.detach().cpu()  # type: ignore[operator]
            distance = float(((now - first) / deviation).double().norm()) / len(first) ** 0.5
            if distance:
                drift[number] = distance
        return drift

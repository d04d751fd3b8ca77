"""Weight drift: how far each layer has moved from the weights it began with.

A direct measure of forgetting: ‖w − w₀‖ / ‖w₀‖ over all parameters of a row, and for BatchNorms the
drift of the running mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from engine.model.layer_stack import Stack
from tl_tui.protocol.checks import WeightDriftMeasured


class WeightDrift:
    """Measures the distance from a start's weights. Unchanged rows are not measured again."""

    def __init__(self, stack: Stack, first: Mapping[str, Tensor]) -> None:
        """
        Args:
            stack: The stack of the model that is trained.
            first: Parameters and buffers of the start by their names in the state dict, on the
                host.
        """
        self.stack = stack
        self.first = first
        self._rows = [0.0] * len(stack.rows)
        self._versions: list[tuple[int, ...]] = [()] * len(stack.rows)

    def measure(
        self, weights_version: Callable[[], tuple[int, int, int]]
    ) -> Iterator[WeightDriftMeasured | None]:
        """Measure the rows, one per unit of work.

        If the weights change between two units, the rows are measured again, so that all of them
        belong to the same step.

        Args:
            weights_version: Returns the version of the current weights: (start, step, restore id).

        Yields:
            None after each row, and at last the drift of all rows.
        """
        version = None
        while version != weights_version():
            version = weights_version()
            yield from self._measure_rows()
        assert version is not None
        yield WeightDriftMeasured(
            start=version[0],
            step=version[1],
            rows=tuple(self._rows),
            running_mean_drift=self._mean_drift(),
        )

    def _measure_rows(self) -> Iterator[None]:
        """Measure the rows that have changed, one per unit of work."""
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

    def _distance(self, parameters: list[tuple[str, torch.nn.Parameter]]) -> float:
        with torch.no_grad():
            moved, total = 0.0, 0.0
            for name, parameter in parameters:
                first = self.first[name.removeprefix(".")].to(parameter.device)
                norms = torch.stack([(parameter - first).double().norm(), first.double().norm()])
                change, size = norms.tolist()
                moved, total = moved + change**2, total + size**2
        return float((moved / total) ** 0.5) if total else 0.0

    def _mean_drift(self) -> dict[int, float]:
        """Return the nonzero drifts of running means by owner.

        The drift is ‖(mean − mean₀) / deviation₀‖ / √channels, with the running deviation.
        """
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

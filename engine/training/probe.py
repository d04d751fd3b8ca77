"""Measure what a backward pass does. Everything is observed, nothing is derived from the mask.

A hook on every parameter records that its gradient was accumulated. A hook on the output of every
row and owner records whether and when the gradient arrived, which shows that it passes through a
frozen layer between trainable ones. After `backward()`, the norms of all gradients, weights and
weight changes are computed with one multi-tensor call each and moved to the host in one transfer
per step.

Full backward hooks are not used, because on leaf modules they raise errors with in-place ReLUs and
`out += identity` (pytorch#61519).
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from engine.model.layer_stack import Stack
from engine.training.clocks import CudaClock, HostClock
from engine.training.norms import each_with_norm, l2, norm64, norms_by_group, together
from tl_tui.protocol.layers import Reach
from tl_tui.protocol.training import LayerMeasurement


@dataclass
class Measurement:
    """The measurements of one step."""

    rows: tuple[LayerMeasurement, ...]
    owners: tuple[LayerMeasurement, ...]
    forward_ms: float
    backward_ms: float
    update_ms: float


@dataclass
class _HookRecord:
    """What the hooks recorded in one step."""

    rows: dict[int, int] = field(default_factory=dict)
    """The mark at which the gradient arrived at a row's output, by row."""
    owners: dict[int, int] = field(default_factory=dict)
    """The mark at which the gradient arrived at an owner's output, by owner."""
    parameters: set[int] = field(default_factory=set)
    """The parameters that received a gradient, by index in the probe's parameter list."""


@dataclass(frozen=True)
class _Norms:
    """The L2 norms of one step, by index in the probe's parameter list."""

    weight: list[float]
    """The norm of each weight before the update."""
    gradient: dict[int, float]
    update: dict[int, float]
    """The norm of the change of each updated weight."""
    nonfinite: dict[int, int]
    """The number of gradient elements that are NaN or infinite, where there are any."""


@dataclass(frozen=True)
class RecordedPasses:
    """What was recorded while a CUDA graph of the passes was captured."""

    clock: CudaClock
    hooks: _HookRecord
    marks: dict[str, int]


class Probe:
    """Measures steps of one model. In other steps it costs one Python call per module.

    Example:
        >>> with probe.watching():  # forward and backward pass, with `probe.mark` at their borders
        ...     forward_backward(...)
        >>> probe.before_update()
        >>> optimizer.step()
        >>> readings = probe.readings(gradient_norms)
        >>> measurement = probe.measure(readings.tolist())
    """

    def __init__(self, stack: Stack) -> None:
        """Register hooks on all parameters.

        This must happen before any layer is frozen: hooks cannot be registered on parameters that
        do not require a gradient.

        Args:
            stack: The model's layer stack.
        """
        self.stack = stack
        self.parameters: list[nn.Parameter] = []
        """All parameters, by owner."""
        self._positions: list[list[int]] = []
        """Indices of an owner's parameters in that list, by owner."""
        for owner in stack.owners:
            first = len(self.parameters)
            self.parameters += owner.parameters
            self._positions.append(list(range(first, len(self.parameters))))
        self._owner_of = [owner for owner, inside in enumerate(self._positions) for _ in inside]
        self._unreached_owners: dict[int, LayerMeasurement] = {}
        """The last measurement of owners that no gradient reached. It holds until they change."""
        self._unreached_rows: dict[int, LayerMeasurement] = {}
        """The same for rows."""
        self._watching = False
        self._copies: dict[int, Tensor] = {}
        """The trainable weights before the update, by index; after `readings`, minus the new."""
        self._norms_before: dict[int, Tensor] = {}
        """The norms of the trainable weights before the update, by index."""
        self._stale: list[int] = []
        """Indices of the frozen weights whose norm is computed in this step."""
        self._handles: list[RemovableHandle] = []
        self._hook_parameters()
        # The output of a row is that of its last module, where the gradient arrives first.
        self._row_modules = {row.modules[-1][1]: number for number, row in enumerate(stack.rows)}
        self._known_norms: dict[int, tuple[int, float]] = {}
        """Version and norm of weights that have not changed since, by index."""
        self._owner_modules = {owner.module: number for number, owner in enumerate(stack.owners)}

    # --- during the step ------------------------------------------------------------------------

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record the forward and backward pass in the block."""
        device = self.parameters[0].device
        self._clock = CudaClock(device) if device.type == "cuda" else HostClock()
        self._hook_record = _HookRecord()
        self._marks: dict[str, int] = {}
        handles = [
            module.register_forward_hook(self._hook_output)
            for module in {**self._row_modules, **self._owner_modules}
        ]
        self._watching = True
        try:
            yield
        finally:
            self._watching = False
            for handle in handles:
                handle.remove()

    def mark(self, name: str) -> None:
        """Record the time of an event in the step.

        Args:
            name: `forward` and `backward` when the pass starts, `arrived` when the backward pass
                ends, `update` and `end` before and after the optimizer's step.
        """
        self._marks[name] = self._clock.mark()

    def recorded(self) -> RecordedPasses:
        """Return the record of the last watched passes, which were captured in a CUDA graph."""
        assert isinstance(self._clock, CudaClock)
        return RecordedPasses(self._clock, self._hook_record, dict(self._marks))

    def use_recorded(self, recorded: RecordedPasses) -> None:
        """Use the record of a capture for a replay, in which hooks do not run."""
        self._clock = CudaClock(recorded.clock.device, recorded.clock.events)
        self._hook_record, self._marks = recorded.hooks, dict(recorded.marks)

    def gradient_norms(self) -> dict[Tensor, Tensor]:
        """Return the L2 norm of the gradient of every parameter that has one, on the device."""
        received = [p for p in self.parameters if p.grad is not None]
        norms = norms_by_group([p.grad for p in received if p.grad is not None])
        return dict(zip(received, norms, strict=True))

    def before_update(self) -> None:
        """Copy the trainable weights before the optimizer's step."""
        trainable = [
            position
            for position, parameter in enumerate(self.parameters)
            if parameter.grad is not None
        ]
        # Reuse the copies of the last step: allocating memory costs more than copying.
        reusable = self._copies
        self._copies = {
            i: reusable[i]
            if i in reusable
            else torch.empty_like(self.parameters[i], requires_grad=False)
            for i in trainable
        }
        weights = [self.parameters[position].detach() for position in trainable]
        copied = each_with_norm("copy", list(self._copies.values()), weights)
        self._norms_before = dict(zip(trainable, copied, strict=True))

    def _hook_parameters(self) -> None:
        # A weak reference, because the garbage collector cannot see through parameter hooks.
        reference = weakref.ref(self)
        for position, parameter in enumerate(self.parameters):

            def accumulated(_: Tensor, position: int = position) -> None:
                if (probe := reference()) is not None and probe._watching:
                    probe._hook_record.parameters.add(position)

            self._handles.append(parameter.register_post_accumulate_grad_hook(accumulated))

    def _hook_output(self, module: nn.Module, args: object, output: object) -> None:
        """Register a hook on a module's output, if it can receive a gradient.

        This is itself a forward hook.
        """
        if isinstance(output, (tuple, list)) and output:
            output = output[0]
        if not isinstance(output, Tensor) or not output.requires_grad:
            return
        row = self._row_modules.get(module)
        owner = self._owner_modules.get(module)

        def arrived(_: Tensor) -> None:
            if not self._watching:
                return
            # For a module that is called twice, the first arrival counts.
            mark = self._clock.mark()
            if row is not None:
                self._hook_record.rows.setdefault(row, mark)
            if owner is not None:
                self._hook_record.owners.setdefault(owner, mark)

        output.register_hook(arrived)

    # --- after the step -------------------------------------------------------------------------

    def readings(self, gradient_norms: Mapping[Tensor, Tensor]) -> Tensor:
        """Compute the norms of the watched step, after the optimizer's step.

        Args:
            gradient_norms: The L2 norm of the gradient of each parameter that has one.

        Returns:
            [n] fp64, on the device; the values that `measure` needs.
        """
        with torch.no_grad():
            updated = sorted(self._copies)
            after = [self.parameters[i].detach() for i in updated]
            copies = [self._copies[i] for i in updated]
            # The norm of a frozen weight stays valid until its version counter changes.
            self._stale = [
                position
                for position, parameter in enumerate(self.parameters)
                if position not in self._copies
                and self._known_norms.get(position, (-1, 0.0))[0] != parameter._version
            ]
            norms = norms_by_group([self.parameters[i].detach() for i in self._stale])
            norms += [self._norms_before[i] for i in updated]
            norms += [gradient_norms[self.parameters[i]] for i in updated]
            # In place, so that the copies hold the changes from here on.
            norms += each_with_norm("subtract", copies, after)
            return together(norms, self.parameters[0].device)

    def measure(self, values: Iterable[float]) -> Measurement:
        """Return the measurements of the watched step.

        Args:
            values: The result of `readings`, on the host.
        """
        rest = iter(values)
        with torch.no_grad():
            updated = sorted(self._copies)
            for position in self._stale:
                self._known_norms[position] = (self.parameters[position]._version, next(rest))
            before = {position: next(rest) for position in updated}
            weight = [
                before[i] if i in before else self._known_norms[i][1]
                for i in range(len(self.parameters))
            ]
            gradient = {position: next(rest) for position in updated}
            update = {position: next(rest) for position in updated}
            for position in updated:
                self._known_norms.pop(position, None)  # the update changed this weight
            nonfinite = self._count_nonfinite(gradient)
            self._recompute_overflowed(gradient, weight, update)
        norms = _Norms(weight, gradient, update, nonfinite)
        changed = {self._owner_of[position] for position in (*self._stale, *updated)}
        changed |= self._hook_record.owners.keys()
        owners = [
            self._layer(self._positions[owner], self._hook_record.owners.get(owner), (), norms)
            if owner in changed or owner not in self._unreached_owners
            else self._unreached_owners[owner]
            for owner in range(len(self.stack.owners))
        ]
        rows = []
        for number, row in enumerate(self.stack.rows):
            inside = range(row.owners[0], row.owners[-1] + 1)
            arrival = self._hook_record.rows.get(number)
            layer = self._unreached_rows.get(number)
            if layer is None or arrival is not None or not changed.isdisjoint(inside):
                positions = [position for owner in inside for position in self._positions[owner]]
                reaches = tuple(owners[owner].reach for owner in row.owners)
                layer = self._layer(positions, arrival, reaches, norms)
            rows.append(layer)
        # Keep the measurements of unreached layers for the next step: often most layers are frozen.
        self._unreached_owners = {
            i: layer for i, layer in enumerate(owners) if layer.reach == "unreached"
        }
        self._unreached_rows = {
            i: layer for i, layer in enumerate(rows) if layer.reach == "unreached"
        }
        milliseconds = self._clock.milliseconds
        marks = self._marks
        return Measurement(
            rows=tuple(rows),
            owners=tuple(owners),
            forward_ms=milliseconds(marks["forward"], marks["backward"]),
            backward_ms=milliseconds(marks["backward"], marks["arrived"]),
            update_ms=milliseconds(marks["update"], marks["end"]),
        )

    def _layer(
        self,
        positions: list[int],
        arrival: int | None,
        owner_reaches: tuple[Reach, ...],
        norms: _Norms,
    ) -> LayerMeasurement:
        """Return the measurement of a row or owner.

        Args:
            positions: Indices of its parameters.
            arrival: The mark at which the gradient arrived at its output.
            owner_reaches: The reach of the owners in a row; empty for an owner.
            norms: The norms of the step.
        """
        weight, gradient, update = norms.weight, norms.gradient, norms.update
        received = [position for position in positions if position in gradient]
        accumulated = any(position in self._hook_record.parameters for position in positions)
        reach: Reach = "unreached"
        if received and accumulated:
            reach = "updated"
        elif arrival is not None or "passed" in owner_reaches:
            reach = "passed"
        update_norm = l2([update[position] for position in received])
        weight_norm = l2([weight[position] for position in received])
        ratio = update_norm / weight_norm if weight_norm else (math.inf if update_norm else 0.0)
        return LayerMeasurement(
            reach=reach,
            grad_norm=l2([gradient[position] for position in received]) if received else None,
            weight_norm=l2([weight[position] for position in positions]),
            update_ratio=ratio if received else None,
            nonfinite=sum(norms.nonfinite.get(position, 0) for position in received)
            if norms.nonfinite
            else 0,
            arrival_ms=None
            if arrival is None
            else self._clock.milliseconds(self._marks["backward"], arrival),
        )

    def _count_nonfinite(self, gradient: dict[int, float]) -> dict[int, int]:
        """Count the NaN and infinite elements of the gradients whose norm is not finite."""
        suspect = [position for position, norm in gradient.items() if not math.isfinite(norm)]
        if not suspect:
            return {}
        counts = [(~torch.isfinite(self.parameters[p].grad)).sum() for p in suspect]  # type: ignore[arg-type]
        return dict(zip(suspect, torch.stack(counts).tolist(), strict=True))

    def _recompute_overflowed(
        self, gradient: dict[int, float], weight: list[float], update: dict[int, float]
    ) -> None:
        """Recompute infinite norms in fp64, because a sum of squares can overflow in fp32."""
        for position, parameter in enumerate(self.parameters):
            change = self._copies.get(position)
            if math.isinf(weight[position]):
                value = parameter.detach().double()
                weight[position] = norm64(value if change is None else value + change.double())
            if change is None:
                continue
            if math.isinf(gradient[position]) and parameter.grad is not None:
                gradient[position] = norm64(parameter.grad)
            if math.isinf(update[position]):
                update[position] = norm64(change)

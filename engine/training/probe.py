"""What one real backward pass did: observed while it runs, never derived from the mask.

Three things are watched. A hook on every parameter notes that its gradient was accumulated. A
hook on the output tensor of every row and every owner notes that, and when, the gradient arrived
there; that is how a frozen layer between trainable ones is seen to be passed through. After
`backward()` the norms of all gradients, weights and weight changes are taken with one
multi-tensor call each, and cross to the host together, in one transfer a step.

Full backward hooks are not used: on leaf modules they raise with in-place ReLUs and
`out += identity` (pytorch#61519).
"""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from engine.model.layer_stack import Stack
from engine.training.norms import each_with_norm, l2, norm64, norms_by_group, together
from tl_tui.protocol.layers import Reach
from tl_tui.protocol.training import LayerMeasurement


class _HostClock:
    """Moments on the host, for devices whose work is done when the call returns."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def mark(self) -> int:
        self.moments.append(time.perf_counter())
        return len(self.moments) - 1

    def milliseconds(self, first: int, second: int) -> float:
        return 1e3 * (self.moments[second] - self.moments[first])


class _CudaClock:
    """Moments on the GPU: hooks run when work is queued, so the time is an event in its stream.

    In a CUDA graph that is being captured the events become a part of it, and every replay has
    times of its own.
    """

    def __init__(self, device: torch.device, events: Iterable[torch.cuda.Event] = ()) -> None:
        self.device = device
        self.events: list[torch.cuda.Event] = list(events)

    def mark(self) -> int:
        captured = torch.cuda.is_current_stream_capturing()
        event = torch.cuda.Event(enable_timing=True, external=captured)
        event.record(torch.cuda.current_stream(self.device))
        self.events.append(event)
        return len(self.events) - 1

    def milliseconds(self, first: int, second: int) -> float:
        # Called after the step's one transfer, behind which every event lies.
        return float(self.events[first].elapsed_time(self.events[second]))


@dataclass
class Measurement:
    """One measured step."""

    rows: tuple[LayerMeasurement, ...]
    owners: tuple[LayerMeasurement, ...]
    forward_ms: float
    backward_ms: float
    update_ms: float


@dataclass
class _Observed:
    """What the hooks saw in one step."""

    rows: dict[int, int] = field(default_factory=dict)
    """Row -> mark of the arrival at its output."""
    owners: dict[int, int] = field(default_factory=dict)
    parameters: set[int] = field(default_factory=set)
    """Positions, in the probe's parameter list, of the parameters that received a gradient."""


@dataclass(frozen=True)
class _Numbers:
    """What was read of one step, by position in the probe's parameter list."""

    weight: list[float]
    """L2 norm before the step; of all."""
    gradient: dict[int, float]
    update: dict[int, float]
    nonfinite: dict[int, int]


@dataclass(frozen=True)
class Observed:
    """What was seen of a forward and a backward pass."""

    clock: _CudaClock
    observed: _Observed
    marks: dict[str, int]


class Probe:
    """Watches measured steps of one model; between them it costs one Python call a module.

    Use: `with probe.watching():` around forward and backward; `probe.mark(...)` at the borders,
    those of the update too; `probe.before_update()` ahead of that and `probe.readings()` behind
    it, then `probe.measure()` with their values on the host.
    """

    def __init__(self, stack: Stack) -> None:
        """Register on every parameter and module; register before the first freeze.

        (Hooks on a parameter that does not require a gradient cannot be registered.)
        """
        self.stack = stack
        self.parameters: list[nn.Parameter] = []
        self._positions: list[list[int]] = []
        """By owner: of its parameters, in that list."""
        for owner in stack.owners:
            first = len(self.parameters)
            self.parameters += owner.parameters
            self._positions.append(list(range(first, len(self.parameters))))
        self._owner_of = [owner for owner, inside in enumerate(self._positions) for _ in inside]
        self._at_rest: dict[int, LayerMeasurement] = {}
        """By owner: what was told of it when nothing arrived there, while its weights stay."""
        self._rows_at_rest: dict[int, LayerMeasurement] = {}
        self._watching = False
        self._copies: dict[int, Tensor] = {}
        """The trainable weights before the update, by position; after `measure`, minus the new."""
        self._norms_before: dict[int, Tensor] = {}
        self._stale: list[int] = []
        """Positions of the frozen weights whose norm had to be taken in the step."""
        self._handles: list[RemovableHandle] = []
        self._hook_parameters()
        # A row's output is that of the last module that joined it: there the gradient comes in.
        self._row_modules = {row.modules[-1][1]: number for number, row in enumerate(stack.rows)}
        self._known_norms: dict[int, tuple[int, float]] = {}
        """Norms of weights that did not move since, with the version they were taken of."""
        self._owner_modules = {owner.module: number for number, owner in enumerate(stack.owners)}

    # --- during the step ------------------------------------------------------------------------

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Measure what happens inside."""
        device = self.parameters[0].device
        self._clock = _CudaClock(device) if device.type == "cuda" else _HostClock()
        self._observed = _Observed()
        self._marks: dict[str, int] = {}
        handles = [
            module.register_forward_hook(self._arm)
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
        """Note the moment of a border: `forward`, `backward`, `arrived`, `update` or `end`.

        `backward` begins backward, `arrived` ends it; `update` and `end` enclose the optimizer.
        """
        self._marks[name] = self._clock.mark()

    def seen(self) -> Observed:
        """What was seen of the passes that were watched last, which were captured."""
        assert isinstance(self._clock, _CudaClock)
        return Observed(self._clock, self._observed, dict(self._marks))

    def recall(self, seen: Observed) -> None:
        """The passes that are run now are a replay of those: they do the same again."""
        self._clock = _CudaClock(seen.clock.device, seen.clock.events)
        self._observed, self._marks = seen.observed, dict(seen.marks)

    def gradient_norms(self) -> dict[Tensor, Tensor]:
        """Return the L2 norm of the gradient of every parameter that has one, on the device."""
        received = [p for p in self.parameters if p.grad is not None]
        norms = norms_by_group([p.grad for p in received if p.grad is not None])
        return dict(zip(received, norms, strict=True))

    def before_update(self) -> None:
        """Keep the trainable weights as they are before the optimizer's step."""
        trainable = [
            position
            for position, parameter in enumerate(self.parameters)
            if parameter.grad is not None
        ]
        # The copies are kept from step to step: fresh memory costs more than the copying.
        kept = self._copies
        self._copies = {
            i: kept[i] if i in kept else torch.empty_like(self.parameters[i], requires_grad=False)
            for i in trainable
        }
        weights = [self.parameters[position].detach() for position in trainable]
        copied = each_with_norm("copy", list(self._copies.values()), weights)
        self._norms_before = dict(zip(trainable, copied, strict=True))

    def _hook_parameters(self) -> None:
        # Weakly: what a parameter's hook holds Python's garbage collector cannot see.
        me = weakref.ref(self)
        for position, parameter in enumerate(self.parameters):

            def accumulated(_: Tensor, position: int = position) -> None:
                if (probe := me()) is not None and probe._watching:
                    probe._observed.parameters.add(position)

            self._handles.append(parameter.register_post_accumulate_grad_hook(accumulated))

    def _arm(self, module: nn.Module, args: object, output: object) -> None:
        """After a module's forward: watch its output tensor, if a gradient can come there."""
        if isinstance(output, (tuple, list)) and output:
            output = output[0]
        if not isinstance(output, Tensor) or not output.requires_grad:
            return
        row = self._row_modules.get(module)
        owner = self._owner_modules.get(module)

        def arrived(_: Tensor) -> None:
            if not self._watching:
                return
            # A module that is called twice counts from the first arrival.
            mark = self._clock.mark()
            if row is not None:
                self._observed.rows.setdefault(row, mark)
            if owner is not None:
                self._observed.owners.setdefault(owner, mark)

        output.register_hook(arrived)

    # --- after the step -------------------------------------------------------------------------

    def readings(self, gradient_norms: Mapping[Tensor, Tensor]) -> Tensor:
        """Every norm of the step that was watched, on the device, after the optimizer has stepped.

        Args:
            gradient_norms: The L2 norm of its gradient, of every parameter that has one.

        Returns:
            [n] in fp64, for `measure`.
        """
        with torch.no_grad():
            updated = sorted(self._copies)
            after = [self.parameters[i].detach() for i in updated]
            copies = [self._copies[i] for i in updated]
            # A frozen weight's norm is taken once: the version counter tells of any write since.
            self._stale = [
                position
                for position, parameter in enumerate(self.parameters)
                if position not in self._copies
                and self._known_norms.get(position, (-1, 0.0))[0] != parameter._version
            ]
            norms = norms_by_group([self.parameters[i].detach() for i in self._stale])
            norms += [self._norms_before[i] for i in updated]
            norms += [gradient_norms[self.parameters[i]] for i in updated]
            # In place: the copies are the change from here.
            norms += each_with_norm("subtract", copies, after)
            return together(norms, self.parameters[0].device)

    def measure(self, values: Iterable[float]) -> Measurement:
        """The measurements of the step that was watched.

        Args:
            values: What `readings` returned, on the host.
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
                self._known_norms.pop(position, None)  # it has just moved
            nonfinite = self._count_nonfinite(gradient)
            self._exact_where_overflowed(gradient, weight, update)
        numbers = _Numbers(weight, gradient, update, nonfinite)
        fresh = {self._owner_of[position] for position in (*self._stale, *updated)}
        fresh |= self._observed.owners.keys()
        owners = [
            self._layer(self._positions[owner], self._observed.owners.get(owner), (), numbers)
            if owner in fresh or owner not in self._at_rest
            else self._at_rest[owner]
            for owner in range(len(self.stack.owners))
        ]
        rows = []
        for number, row in enumerate(self.stack.rows):
            within = range(row.owners[0], row.owners[-1] + 1)
            arrival = self._observed.rows.get(number)
            known = self._rows_at_rest.get(number)
            if known is None or arrival is not None or not fresh.isdisjoint(within):
                positions = [position for owner in within for position in self._positions[owner]]
                inside = tuple(owners[owner].reach for owner in row.owners)
                known = self._layer(positions, arrival, inside, numbers)
            rows.append(known)
        # Most of a model is often frozen: what nothing arrives at is the same at the next step.
        self._at_rest = {i: one for i, one in enumerate(owners) if one.reach == "unreached"}
        self._rows_at_rest = {i: one for i, one in enumerate(rows) if one.reach == "unreached"}
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
        self, positions: list[int], arrival: int | None, inside: tuple[Reach, ...], of: _Numbers
    ) -> LayerMeasurement:
        weight, gradient, update = of.weight, of.gradient, of.update
        received = [position for position in positions if position in gradient]
        accumulated = any(position in self._observed.parameters for position in positions)
        reach: Reach = "unreached"
        if received and accumulated:
            reach = "updated"
        elif arrival is not None or "passed" in inside:
            reach = "passed"
        moved = l2([update[position] for position in received])
        stood = l2([weight[position] for position in received])
        ratio = moved / stood if stood else (math.inf if moved else 0.0)
        return LayerMeasurement(
            reach=reach,
            grad_norm=l2([gradient[position] for position in received]) if received else None,
            weight_norm=l2([weight[position] for position in positions]),
            update_ratio=ratio if received else None,
            nonfinite=sum(of.nonfinite.get(position, 0) for position in received)
            if of.nonfinite
            else 0,
            arrival_ms=None
            if arrival is None
            else self._clock.milliseconds(self._marks["backward"], arrival),
        )

    def _count_nonfinite(self, gradient: dict[int, float]) -> dict[int, int]:
        """How many elements are NaN or infinite; looked at only where the norm is not finite."""
        suspect = [position for position, norm in gradient.items() if not math.isfinite(norm)]
        if not suspect:
            return {}
        counts = [(~torch.isfinite(self.parameters[p].grad)).sum() for p in suspect]  # type: ignore[arg-type]
        return dict(zip(suspect, torch.stack(counts).tolist(), strict=True))

    def _exact_where_overflowed(
        self, gradient: dict[int, float], weight: list[float], update: dict[int, float]
    ) -> None:
        """A sum of squares can overflow in fp32 where no element does: taken again in fp64."""
        for position, parameter in enumerate(self.parameters):
            change = self._copies.get(position)
            if math.isinf(weight[position]):
                now = parameter.detach().double()
                weight[position] = norm64(now if change is None else now + change.double())
            if change is None:
                continue
            if math.isinf(gradient[position]) and parameter.grad is not None:
                gradient[position] = norm64(parameter.grad)
            if math.isinf(update[position]):
                update[position] = norm64(change)

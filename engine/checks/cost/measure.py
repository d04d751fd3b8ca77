"""Measuring the cost of a step: the time and memory of each owner.

Everything is measured on a copy of the model with random images, so the run is not affected. Memory
is traced without allocating it (`memory_trace`). Time is measured with three kinds of real steps:

- Nothing trainable: the cost of the forward pass.
- Only the first owners trainable: the gradient passes through the whole model, so the difference is
  the cost of propagating the gradient.
- Everything trainable: the difference is the cost of the owners' own gradients and their update.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import msgspec
import torch

from engine.checks.cost.memory_trace import StepMemory, copy_model, trace_memory
from engine.checks.cost.timing import TimedSteps, Timing
from engine.hardware.memory_limit import memory
from engine.hardware.peak_memory import release_memory
from engine.model.freezing import Mask
from engine.model.layer_stack import Stack
from tl_tui.common.errors import Problem
from tl_tui.estimates.cost_model import predict_step_cost, saved_bytes
from tl_tui.protocol.checks import StepCostMeasured
from tl_tui.protocol.config import Optimizer, Precision, Recipe

ROUNDS = 5
"""The number of timed steps of each kind at most."""
LEAST_ROUNDS = 2
SECONDS = 4.0
"""No further round begins after this time."""


class StepCostProblem(Problem):
    """The cost of a step cannot be measured."""


def measure_step_cost(
    stack: Stack,
    device: torch.device,
    *,
    batch_shape: tuple[int, int, int, int],
    classes: int,
    optimizer: Optimizer,
    precision: Precision,
) -> Iterator[StepCostMeasured | None]:
    """Measure what each owner costs in a step, one pass or step per unit of work.

    If a step with everything trainable does not fit into the free memory, the batch is halved until
    it does, and the times are scaled up.

    Args:
        stack: The stack of the model; it is only read.
        device: The device of its model.
        batch_shape: The shape of a batch, [N, 3, height, width].
        classes: The number of classes.
        optimizer: The optimizer whose state and update are included.
        precision: The precision of forward and loss.

    Yields:
        None after each unit, and at last the measured cost.

    Raises:
        StepCostProblem: not even two images fit into memory.
    """
    # A rate of 0 keeps the weights of the copy; weight decay is on, so that its time is included.
    recipe = Recipe(
        optimizer=optimizer, precision=precision, lr_head=0, lr_pretrained=0, weight_decay=1e-4
    )
    step_memory: StepMemory | None = None
    passes = trace_memory(stack, batch_shape, recipe)
    while step_memory is None:
        with _fork_random_state(device):
            step_memory = next(passes)
        yield None
    cost = StepCostMeasured(
        batch=batch_shape[0],
        forward_ms=(0.0,) * len(stack.owners),
        input_grad_ms=(0.0,) * len(stack.owners),
        weight_grad_ms=(0.0,) * len(stack.owners),
        fixed_ms=0.0,
        saved_overhead=0.0,
        gradient_overhead=0.0,
        **vars(step_memory),
    )
    parents = [owner.parents for owner in stack.owners]
    full = frozenset(range(len(parents)))
    batch_size = batch_shape[0]
    while True:
        needed = (
            _model_bytes(stack)
            + predict_step_cost(cost, parents, full).peak_bytes * batch_size // cost.batch
        )
        if needed < _free_bytes(device):
            shape = (batch_size, *batch_shape[1:])
            try:
                yield from _measure_times(stack, device, shape, classes, recipe, cost)
                return
            except torch.OutOfMemoryError:
                pass
            release_memory(device)  # outside of `except`, because the exception holds the tensors
        if batch_size < 4:
            raise StepCostProblem(
                "The cost of a step cannot be measured: with all layers trainable, even a step "
                "with two images needs more memory than is free."
            )
        batch_size //= 2


def _measure_times(
    stack: Stack,
    device: torch.device,
    shape: tuple[int, ...],
    classes: int,
    recipe: Recipe,
    cost: StepCostMeasured,
) -> Iterator[StepCostMeasured | None]:
    """Measure the times with a batch of this shape and add them to the cost."""
    full: Mask = frozenset(range(len(stack.owners)))
    # If the owners without parents are trainable, the gradient passes through the whole model.
    first: Mask = frozenset(i for i, owner in enumerate(stack.owners) if not owner.parents)
    with _fork_random_state(device):
        steps = TimedSteps(copy_model(stack), device, shape, classes, recipe)
    yield None
    peaks: dict[Mask, int | None] = {}
    for mask in (full, first, frozenset()):  # these steps also warm up
        with _fork_random_state(device):
            peaks[mask] = steps.peak(mask)
        yield None
    scale = cost.batch / shape[0]
    cost = _with_peaks(stack, cost, scale, peaks)
    taken: dict[Mask, list[Timing]] = {frozenset(): [], first: [], full: []}
    seconds = 0.0
    for round_number in range(ROUNDS):
        if round_number >= LEAST_ROUNDS and seconds > SECONDS:
            break
        for mask, timings in taken.items():
            with _fork_random_state(device):
                timings.append(steps.take(mask))
            seconds += timings[-1].total / 1e3
            yield None
    del steps
    release_memory(device)
    forward_only, propagating, full_step = (_median(timings) for timings in taken.values())
    yield _with_times(stack, cost, scale, forward_only, propagating, full_step)


def _with_peaks(
    stack: Stack, cost: StepCostMeasured, scale: float, peaks: dict[Mask, int | None]
) -> StepCostMeasured:
    """Add the memory that allocator and kernels use beyond the traced tensors.

    With nothing trainable, that is a fixed size. What propagating the gradient adds is taken as a
    share of the saved tensors, and what full training adds as a share of the gradients.

    Args:
        stack: The stack of the model.
        cost: The traced cost.
        scale: The run's batch size over that of the measured steps.
        peaks: The measured peak of a step in bytes, by mask; None if it is unknown.
    """
    batch_bytes = cost.fixed_bytes  # in use before the measured steps, so not part of their peaks
    parents = [owner.parents for owner in stack.owners]
    for mask in sorted(peaks, key=len):
        peak = peaks[mask]
        if peak is None:
            continue
        missing = max(
            0, round(scale * peak) + batch_bytes - predict_step_cost(cost, parents, mask).peak_bytes
        )
        if not mask:
            cost = msgspec.structs.replace(cost, fixed_bytes=cost.fixed_bytes + missing)
        elif len(mask) < len(parents):
            saved = saved_bytes(cost, parents, mask)
            cost = msgspec.structs.replace(cost, saved_overhead=missing / max(1, saved))
        else:
            gradients = sum(cost.gradient_bytes)
            cost = msgspec.structs.replace(cost, gradient_overhead=missing / max(1, gradients))
    return cost


# --- the owners' shares of the times --------------------------------------------------------------


def _median(timings: list[Timing]) -> Timing:
    """Return the median of each time."""
    return Timing(
        forward=[statistics.median(ms) for ms in zip(*(t.forward for t in timings), strict=True)],
        backward=[statistics.median(ms) for ms in zip(*(t.backward for t in timings), strict=True)],
        update=statistics.median(t.update for t in timings),
        total=statistics.median(t.total for t in timings),
    )


def _with_times(
    stack: Stack,
    cost: StepCostMeasured,
    scale: float,
    forward_only: Timing,
    propagating: Timing,
    full_step: Timing,
) -> StepCostMeasured:
    """Add the times of the owners, from the differences between the three kinds of steps.

    A difference is divided among the owners in proportion to what was measured at each. Differences
    at single owners are small, and cutting their noise at zero adds up; so the parts are scaled to
    the difference of whole steps.

    Args:
        stack: The stack of the model.
        cost: The cost without times.
        scale: The run's batch size over that of the measured steps.
        forward_only: A step with nothing trainable.
        propagating: A step with only the owners without parents trainable.
        full_step: A step with everything trainable.
    """
    has_parents = [bool(owner.parents) for owner in stack.owners]
    gradient_bytes = cost.gradient_bytes
    before_backward = max(0.0, forward_only.total - sum(forward_only.forward))
    propagation = [
        max(0.0, after - before) + backward if inner else 0.0
        for before, after, backward, inner in zip(
            forward_only.forward,
            propagating.forward,
            propagating.backward,
            has_parents,
            strict=True,
        )
    ]
    backward_of_first = sum(
        backward
        for backward, inner in zip(propagating.backward, has_parents, strict=True)
        if not inner
    )
    update = [full_step.update * size / max(1, sum(gradient_bytes)) for size in gradient_bytes]
    learning = [
        max(0.0, after - before) + max(0.0, backward - (passed if inner else 0.0)) + updating
        for before, after, backward, passed, inner, updating in zip(
            propagating.forward,
            full_step.forward,
            full_step.backward,
            propagating.backward,
            has_parents,
            update,
            strict=True,
        )
    ]
    start_of_backward = max(0.0, propagating.total - forward_only.total - sum(propagating.backward))
    propagation_total = (
        propagating.total - forward_only.total - backward_of_first - start_of_backward
    )
    learning_total = full_step.total - propagating.total + backward_of_first
    return msgspec.structs.replace(
        cost,
        forward_ms=tuple(scale * ms for ms in forward_only.forward),
        input_grad_ms=_scaled_to(scale * propagation_total, propagation),
        weight_grad_ms=_scaled_to(scale * learning_total, learning),
        fixed_ms=before_backward + start_of_backward,
    )


def _scaled_to(total: float, parts: list[float]) -> tuple[float, ...]:
    """Scale parts so that they sum to a total; a negative total counts as 0."""
    measured = sum(parts)
    factor = max(0.0, total) / measured if measured else 0.0
    return tuple(factor * part for part in parts)


# --- the device -----------------------------------------------------------------------------------


def _fork_random_state(device: torch.device) -> Any:
    """Return a context manager that restores the random state, which dropout changes."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


def _model_bytes(stack: Stack) -> int:
    return sum(t.nbytes for t in (*stack.model.parameters(), *stack.model.buffers()))


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    return memory().free

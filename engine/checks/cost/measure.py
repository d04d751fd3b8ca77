"""The price of a step, measured: what each owner costs in time and memory.

Everything happens on a copy of the model with random images of the run's shape: weights, buffers,
optimizer, position and random state of the run stay as they are. Memory is found without allocating
it (`engine.checks.cost.memory_trace`). Time comes from real steps of three kinds, each a unit:
nothing trainable is the forward pass alone; with only the first owners trainable the gradient
passes through everything, and what that adds is the cost of passing; what a step with everything
trainable adds to this is the cost of learning.
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
"""Steps of each kind, at most."""
LEAST_ROUNDS = 2
SECONDS = 4.0
"""After so many seconds of steps no further round is begun."""


class StepCostProblem(Problem):
    """The price cannot be measured; the text says why."""


def measure_step_cost(
    stack: Stack,
    device: torch.device,
    *,
    batch_shape: tuple[int, int, int, int],
    classes: int,
    optimizer: Optimizer,
    precision: Precision,
) -> Iterator[StepCostMeasured | None]:
    """Measure what each owner costs; yields None after each unit and at last the message.

    If a step with everything trainable does not fit into what is free, time is taken with half the
    batch, or half of that, and multiplied.

    Args:
        stack: Read only.
        device: Where its model is.
        batch_shape: [N, 3, height, width].
        classes: Of the labels.
        optimizer: Whose state and update are to be counted.
        precision: Of forward and loss.

    Raises:
        PriceProblem: not even two images fit.
    """
    # The rate is 0, so that the copy's weights stay; the decay is not, so that its work is done.
    recipe = Recipe(
        optimizer=optimizer, precision=precision, lr_head=0, lr_pretrained=0, weight_decay=1e-4
    )
    found: StepMemory | None = None
    looks = trace_memory(stack, batch_shape, recipe)
    while found is None:
        with _random_state_kept(device):
            found = next(looks)
        yield None
    price = StepCostMeasured(
        batch=batch_shape[0],
        forward_ms=(0.0,) * len(stack.owners),
        input_grad_ms=(0.0,) * len(stack.owners),
        weight_grad_ms=(0.0,) * len(stack.owners),
        fixed_ms=0.0,
        saved_overhead=0.0,
        gradient_overhead=0.0,
        **vars(found),
    )
    parents = [owner.parents for owner in stack.owners]
    full = frozenset(range(len(parents)))
    count = batch_shape[0]
    while True:
        needed = (
            _copied_bytes(stack)
            + predict_step_cost(price, parents, full).peak_bytes * count // price.batch
        )
        if needed < _free_bytes(device):
            try:
                yield from _timed(stack, device, (count, *batch_shape[1:]), classes, recipe, price)
                return
            except torch.OutOfMemoryError:
                pass
            release_memory(device)  # outside of `except`, for the exception holds the tensors
        if count < 4:
            raise StepCostProblem(
                "The price of a step cannot be measured: a step with everything trainable needs "
                "more memory than is free, even with two images."
            )
        count //= 2


def _timed(
    stack: Stack,
    device: torch.device,
    shape: tuple[int, ...],
    classes: int,
    recipe: Recipe,
    price: StepCostMeasured,
) -> Iterator[StepCostMeasured | None]:
    """The price with its times, taken with a batch of this shape."""
    full: Mask = frozenset(range(len(stack.owners)))
    # With these trainable the gradient goes everywhere.
    first: Mask = frozenset(i for i, owner in enumerate(stack.owners) if not owner.parents)
    with _random_state_kept(device):
        steps = TimedSteps(copy_model(stack), device, shape, classes, recipe)
    yield None
    peaks: dict[Mask, int | None] = {}
    for mask in (full, first, frozenset()):  # the first warms up, too
        with _random_state_kept(device):
            peaks[mask] = steps.peak(mask)
        yield None
    price = _with_peaks(stack, price, price.batch / shape[0], peaks)
    taken: dict[Mask, list[Timing]] = {frozenset(): [], first: [], full: []}
    seconds = 0.0
    for number in range(ROUNDS):
        if number >= LEAST_ROUNDS and seconds > SECONDS:
            break
        for mask, timings in taken.items():
            with _random_state_kept(device):
                timings.append(steps.take(mask))
            seconds += timings[-1].total / 1e3
            yield None
    del steps
    release_memory(device)
    nothing, passing, learning = (_typical(timings) for timings in taken.values())
    yield _assembled(stack, price, price.batch / shape[0], nothing, passing, learning)


def _with_peaks(
    stack: Stack, price: StepCostMeasured, scale: float, peaks: dict[Mask, int | None]
) -> StepCostMeasured:
    """The price with what the allocator and the kernels' scratch memory add to it.

    What the steps took beyond the tensors: with nothing trainable it is fixed, what comes to it
    when the gradient passes is in proportion to the tensors that are kept, and what comes to that
    when everything learns to the gradients.
    """
    batch = price.fixed_bytes  # it was there before those steps
    parents = [owner.parents for owner in stack.owners]
    for mask in sorted(peaks, key=len):
        peak = peaks[mask]
        if peak is None:
            continue
        missing = max(
            0, round(scale * peak) + batch - predict_step_cost(price, parents, mask).peak_bytes
        )
        if not mask:
            price = msgspec.structs.replace(price, fixed_bytes=price.fixed_bytes + missing)
        elif len(mask) < len(parents):
            kept = saved_bytes(price, parents, mask)
            price = msgspec.structs.replace(price, saved_overhead=missing / max(1, kept))
        else:
            gradients = sum(price.gradient_bytes)
            price = msgspec.structs.replace(price, gradient_overhead=missing / max(1, gradients))
    return price


# --- from the steps to each owner's share ---------------------------------------------------------


def _typical(timings: list[Timing]) -> Timing:
    """The median of each."""
    return Timing(
        forward=[statistics.median(ms) for ms in zip(*(t.forward for t in timings), strict=True)],
        backward=[statistics.median(ms) for ms in zip(*(t.backward for t in timings), strict=True)],
        update=statistics.median(t.update for t in timings),
        total=statistics.median(t.total for t in timings),
    )


def _assembled(
    stack: Stack,
    price: StepCostMeasured,
    scale: float,
    nothing: Timing,
    passing: Timing,
    learning: Timing,
) -> StepCostMeasured:
    """The price from a step with nothing trainable, with the first owners, and with everything.

    What one kind of step adds to another is divided among the owners as it was seen at each, and
    the parts brought to the sum of the whole steps: single ones are small, and noise cut at zero
    would add up.
    """
    has_parents = [bool(owner.parents) for owner in stack.owners]
    bytes_of = price.gradient_bytes
    before_backward = max(0.0, nothing.total - sum(nothing.forward))
    handed_on = [
        max(0.0, after - before) + back if above else 0.0
        for before, after, back, above in zip(
            nothing.forward, passing.forward, passing.backward, has_parents, strict=True
        )
    ]
    of_first = sum(b for b, above in zip(passing.backward, has_parents, strict=True) if not above)
    update = [learning.update * size / max(1, sum(bytes_of)) for size in bytes_of]
    learn = [
        max(0.0, after - before) + max(0.0, back - (passed if above else 0.0)) + moved
        for before, after, back, passed, above, moved in zip(
            passing.forward,
            learning.forward,
            learning.backward,
            passing.backward,
            has_parents,
            update,
            strict=True,
        )
    ]
    start_of_backward = max(0.0, passing.total - nothing.total - sum(passing.backward))
    passing_sum = passing.total - nothing.total - of_first - start_of_backward
    learning_sum = learning.total - passing.total + of_first
    return msgspec.structs.replace(
        price,
        forward_ms=tuple(scale * ms for ms in nothing.forward),
        input_grad_ms=_brought_to(scale, handed_on, passing_sum),
        weight_grad_ms=_brought_to(scale, learn, learning_sum),
        fixed_ms=before_backward + start_of_backward,
    )


def _brought_to(scale: float, parts: list[float], whole: float) -> tuple[float, ...]:
    """The parts, multiplied so that their sum is the whole, times the scale."""
    found = sum(parts)
    factor = scale * max(0.0, whole) / found if found else 0.0
    return tuple(factor * part for part in parts)


# --- the device -----------------------------------------------------------------------------------


def _random_state_kept(device: torch.device) -> Any:
    """Dropout of a probe step draws from the run's random state: put back after each unit."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


def _copied_bytes(stack: Stack) -> int:
    return sum(t.nbytes for t in (*stack.model.parameters(), *stack.model.buffers()))


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    return memory().free

"""The measured cost of a step, and whether a step fits into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.hardware import memory_limit
from engine.model.freezing import Mask
from engine.session.context import SessionContext
from tl_tui.common.errors import Problem
from tl_tui.estimates import cost_model
from tl_tui.protocol.checks import StepCostMeasured
from tl_tui.protocol.events import AnyEvent


class StepCostEstimator:
    """Measures the cost of a step and keeps the last measurement."""

    def __init__(self, context: SessionContext, emit: Callable[[AnyEvent], None]) -> None:
        self.context, self.emit = context, emit
        self.measured: StepCostMeasured | None = None
        """The last measurement; None if there is none."""

    def measure(self) -> Iterator[None]:
        """Measure the cost of a step with the current recipe and emit it.

        The steps are taken on a copy of the model, one per unit of work.
        """
        from engine.checks.cost.measure import measure_step_cost

        event, trainer = self.context.event, self.context.trainer
        units: Iterator[StepCostMeasured | None] = measure_step_cost(
            self.context.stack,
            trainer.device,
            batch_shape=(event.batch_size, 3, event.image_size, event.image_size),
            classes=len(event.classes),
            optimizer=trainer.recipe.optimizer,
            precision=trainer.recipe.precision,
        )
        for cost in units:
            if cost is not None:
                self.measured = cost
                self.emit(cost)
            yield

    def require_memory(self, mask: Mask) -> None:
        """Check on the CPU that a step fits into memory: the kernel would kill the engine.

        Args:
            mask: The trainable owners of the step.

        Raises:
            Problem: the step needs more memory than is free.
        """
        if self.measured is None or self.context.trainer.device.type != "cpu":
            return
        parents = [owner.parents for owner in self.context.stack.owners]
        needed = cost_model.predict_step_cost(self.measured, parents, mask).peak_bytes
        if sentence := memory_limit.memory_refusal(int(needed), memory_limit.memory()):
            raise Problem(sentence)

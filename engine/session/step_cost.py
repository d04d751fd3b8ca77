"""The price of a step as a run knows it: measured aside, and whether a mask's step would fit."""

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
    """Holds the last price that was measured, and measures it for the recipe that is in force."""

    def __init__(self, context: SessionContext, emit: Callable[[AnyEvent], None]) -> None:
        self.context, self.emit = context, emit
        self.measured: StepCostMeasured | None = None

    def measure(self) -> Iterator[None]:
        """Measure it on a twin of the model, piece by piece, and tell it; changes nothing."""
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
        for price in units:
            if price is not None:
                self.measured = price
                self.emit(price)
            yield

    def need_memory(self, mask: Mask) -> None:
        """Refuse what could not fit: on the CPU the system would kill the engine instead.

        Raises:
            Problem: a step with this mask needs more memory than there is.
        """
        if self.measured is None or self.context.trainer.device.type != "cpu":
            return
        parents = [owner.parents for owner in self.context.stack.owners]
        needed = cost_model.predict_step_cost(self.measured, parents, mask).peak_bytes
        if sentence := memory_limit.memory_refusal(int(needed), memory_limit.memory()):
            raise Problem(sentence)

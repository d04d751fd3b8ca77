"""The price of a step as a run knows it: measured aside, and whether a mask's step would fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.hardware import memory_limit
from engine.model.freezing import Mask
from engine.session.context import Opened
from tl_tui.common.errors import Problem
from tl_tui.estimates import cost_model
from tl_tui.protocol.events import AnyEvent, PriceMeasured


class Pricing:
    """Holds the last price that was measured, and measures it for the recipe that is in force."""

    def __init__(self, opened: Opened, emit: Callable[[AnyEvent], None]) -> None:
        self.opened, self.emit = opened, emit
        self.measured: PriceMeasured | None = None

    def measure(self) -> Iterator[None]:
        """Measure it on a twin of the model, piece by piece, and tell it; changes nothing."""
        from engine.checks.cost.measure import measure_price

        event, trainer = self.opened.event, self.opened.trainer
        units: Iterator[PriceMeasured | None] = measure_price(
            self.opened.stack,
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
        if self.measured is None or self.opened.trainer.device.type != "cpu":
            return
        parents = [owner.parents for owner in self.opened.stack.owners]
        needed = cost_model.predict(self.measured, parents, mask).peak_bytes
        if sentence := memory_limit.refusal(int(needed), memory_limit.memory()):
            raise Problem(sentence)

"""A learning-rate range test: the rate grows with every step until the loss explodes.

After Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017, arXiv:1506.01186.
Every row's rate grows in its proportion to the head's. Everything it changes is put back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from engine.model.freezing import Mask
from engine.training.step_errors import NotFinite
from engine.training.trainer import Trainer
from tl_tui.common.errors import Problem
from tl_tui.protocol.checks import LrRangeTested
from tl_tui.protocol.layers import NormMode

LOWEST, HIGHEST = 1e-5, 10.0
"""Rates of the head between which it is tried."""
STEPS = 80
SMOOTHING = 0.9
EXPLODED = 3.0
"""Times the lowest smoothed loss, from which on there is nothing more to learn."""
FELL = 0.98
"""Of the first loss: a curve that stays above this never fell."""


def lr_range_test(
    trainer: Trainer, mask: Mask, norm_modes: Mapping[int, NormMode]
) -> Iterator[LrRangeTested]:
    """Run the test, a train step a unit; however it ends, everything is as before.

    Yields:
        The curve so far; at last with a proposal: a tenth of the rate at which the loss was
        lowest, which is a rate at which it still falls steeply.
    """
    kept = trainer.snapshot()
    points: list[tuple[float, float]] = []
    average, lowest = 0.0, math.inf
    try:
        for number in range(STEPS):
            rate = LOWEST * (HIGHEST / LOWEST) ** (number / (STEPS - 1))
            factor = rate / trainer.recipe.lr_head
            try:
                result = trainer.step(mask, norm_modes, measured=False, lr_factor=factor)
            except NotFinite:
                break
            average = SMOOTHING * average + (1 - SMOOTHING) * result.loss
            smooth = average / (1 - SMOOTHING ** (number + 1))
            points.append((rate, smooth))
            lowest = min(lowest, smooth)
            if smooth > EXPLODED * lowest:
                break
            yield LrRangeTested(points=tuple(points), done=False)
    finally:
        trainer.restore(kept)
    yield _proposed(points)


def check_lr_range_test(trainer: Trainer, mask: Mask) -> None:
    """Refuse a test that could not say anything.

    Raises:
        Problem: nothing is trainable, or the head's rate is 0, to which the others relate.
    """
    if not mask:
        raise Problem("A range test needs something to train; thaw a layer first.")
    if not trainer.recipe.lr_head:
        raise Problem("A range test scales every rate with the head's, which is 0; set it first.")


def _proposed(points: list[tuple[float, float]]) -> LrRangeTested:
    if not points:
        return LrRangeTested(points=(), done=True, reason="The first loss was not finite already.")
    rate, lowest = min(points, key=lambda point: point[1])
    if lowest > FELL * points[0][1]:
        why = "The loss never fell at any rate; more layers or more images may be needed."
        return LrRangeTested(points=tuple(points), done=True, reason=why)
    proposal = float(f"{rate / 10:.1g}")
    why = f"The loss was lowest at {rate:.1e}; a tenth of that still falls, with room to spare."
    return LrRangeTested(points=tuple(points), done=True, proposal=proposal, reason=why)

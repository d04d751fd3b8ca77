"""The learning-rate range test: raise the rate with every step until the loss explodes.

Reference:
    Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017, arXiv:1506.01186.
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
"""The first and the last learning rate of the head."""
STEPS = 80
SMOOTHING = 0.9
"""The factor of the exponential moving average of the loss."""
EXPLODED = 3.0
"""The test ends when the smoothed loss exceeds its minimum by this factor."""
FELL = 0.98
"""A loss that stays above this share of the first loss counts as never having fallen."""


def lr_range_test(
    trainer: Trainer, mask: Mask, norm_modes: Mapping[int, NormMode]
) -> Iterator[LrRangeTested]:
    """Run the test, one train step per unit of work. The trainer is restored however it ends.

    The rates of all rows keep their ratio to the head's rate.

    Args:
        trainer: The trainer to take the steps with.
        mask: The trainable owners.
        norm_modes: The BatchNorm modes that the user set, by owner.

    Yields:
        The curve so far, and at last a proposal: a tenth of the rate with the lowest loss, where
        the loss still falls steeply.
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
    yield _proposal(points)


def check_lr_range_test(trainer: Trainer, mask: Mask) -> None:
    """Check that a range test is possible.

    Raises:
        Problem: nothing is trainable, or the head's learning rate is 0.
    """
    if not mask:
        raise Problem("A range test needs a trainable layer; thaw one first.")
    if not trainer.recipe.lr_head:
        raise Problem(
            "A range test scales all learning rates with the head's, which is 0; set it first."
        )


def _proposal(points: list[tuple[float, float]]) -> LrRangeTested:
    if not points:
        return LrRangeTested(
            points=(), done=True, reason="The loss of the first step was not finite."
        )
    rate, lowest = min(points, key=lambda point: point[1])
    if lowest > FELL * points[0][1]:
        why = "The loss fell at no rate, so there is none to propose."
        return LrRangeTested(points=tuple(points), done=True, reason=why)
    proposal = float(f"{rate / 10:.1g}")
    why = f"The loss was lowest at {rate:.1e}; at a tenth of that it still falls steeply."
    return LrRangeTested(points=tuple(points), done=True, proposal=proposal, reason=why)

"""Learning-rate schedules: what a row's base rate is multiplied with at a step of the cycle.

constant: 1. cosine: from 1 to a hundredth along half a cosine (Loshchilov and Hutter, SGDR, ICLR
2017, arXiv:1608.03983). one-cycle: up and down again along cosines, from 1/25 of the rate to it
and on to 1/10,000 of where it began, as `torch.optim.lr_scheduler.OneCycleLR` (Smith and Topin,
Super-Convergence, arXiv:1708.07120); momentum stays as it is. After its horizon a schedule stays
at its floor. Imports no torch, so that a screen can draw it.
"""

from __future__ import annotations

import math

from tl_tui.protocol.config import Schedule

ONE_CYCLE_WARMUP = 0.3
"""Share of the horizon over which one-cycle rises, unless another is given."""
COSINE_FLOOR = 0.01
DIVIDED_AT_FIRST = 25.0
DIVIDED_AT_LAST = 1e4


def lr_factor(schedule: Schedule, done: int, steps: int, warmup: float = 0.0) -> float:
    """The factor of the step after `done` steps of the cycle.

    Args:
        schedule: Its name.
        done: Steps of the cycle that were taken; 0 at its first.
        steps: The horizon. Cosine is at its floor behind it, one-cycle at its last step.
        warmup: Share of the horizon over which the rate rises first, 0 to 1.

    Returns:
        A number from 0 to 1.
    """
    last = max(1, steps - 1 if schedule == "one-cycle" else steps)
    rising = warmup or (ONE_CYCLE_WARMUP if schedule == "one-cycle" else 0.0)
    top = min(rising * steps, last)
    if schedule == "one-cycle":
        first = 1 / DIVIDED_AT_FIRST
        if done < top:
            return _cosine(first, 1.0, done / top)
        return _cosine(1.0, first / DIVIDED_AT_LAST, _share(done - top, last - top))
    if done < top:
        return (done + 1) / (top + 1)  # a straight line, never at 0
    if schedule == "cosine":
        return _cosine(1.0, COSINE_FLOOR, _share(done - top, last - top))
    return 1.0


def is_over(done: int, steps: int) -> bool:
    """The cycle has come to its end."""
    return done >= steps


def _share(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole > 0 else 1.0


def _cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2

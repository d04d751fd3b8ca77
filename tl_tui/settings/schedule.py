"""Learning-rate schedules: the factor by which each base rate is multiplied at a step of a cycle.

constant: always 1. cosine: from 1 down to 0.01 along half a cosine. one-cycle: along cosines from
1/25 up to 1, then down to 1/10,000 of 1/25, as `torch.optim.lr_scheduler.OneCycleLR` but without
changing momentum. After its last step a schedule stays at its final value.

References:
    cosine: Loshchilov and Hutter, SGDR, ICLR 2017, arXiv:1608.03983.
    one-cycle: Smith and Topin, Super-Convergence, arXiv:1708.07120.
"""

from __future__ import annotations

import math

from tl_tui.protocol.config import Schedule

ONE_CYCLE_WARMUP = 0.3
"""Share of the steps during which one-cycle rises, unless another is given."""
COSINE_FLOOR = 0.01
"""The final factor of cosine."""
DIV_FACTOR = 25.0
"""The first factor of one-cycle is 1 divided by this."""
FINAL_DIV_FACTOR = 1e4
"""The final factor of one-cycle is the first one divided by this."""


def lr_factor(schedule: Schedule, done: int, steps: int, warmup: float = 0.0) -> float:
    """Return the factor for the next step of a cycle.

    Args:
        schedule: The name of the schedule.
        done: The number of steps of the cycle already taken.
        steps: The number of steps of the cycle. one-cycle reaches its final value at the last of
            them, cosine after it.
        warmup: Share of the steps during which the rate rises, 0 to 1.

    Returns:
        A number above 0 and up to 1.
    """
    last = max(1, steps - 1 if schedule == "one-cycle" else steps)
    rising = warmup or (ONE_CYCLE_WARMUP if schedule == "one-cycle" else 0.0)
    top = min(rising * steps, last)
    if schedule == "one-cycle":
        first = 1 / DIV_FACTOR
        if done < top:
            return _cosine(first, 1.0, done / top)
        return _cosine(1.0, first / FINAL_DIV_FACTOR, _share(done - top, last - top))
    if done < top:
        return (done + 1) / (top + 1)  # linear, never 0
    if schedule == "cosine":
        return _cosine(1.0, COSINE_FLOOR, _share(done - top, last - top))
    return 1.0


def is_over(done: int, steps: int) -> bool:
    """Return whether all steps of a cycle were taken."""
    return done >= steps


def _share(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole > 0 else 1.0


def _cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2

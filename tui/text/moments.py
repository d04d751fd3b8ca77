"""The step that a number belongs to, in words, where it is not the step that the screen shows."""

from __future__ import annotations

from tui.state.moment import Dated, Moment, moment_of


def step_text(event: Dated, now: Moment) -> str:
    """Return which step an event belongs to: `step 11`, or `start 1, step 11`.

    Args:
        event: The event.
        now: The last step; of its start only the step is named.
    """
    moment = moment_of(event)
    step = f"step {moment.step:,}"
    return step if moment.start == now.start else f"start {moment.start}, {step}"


def age_text(event: Dated | None, now: Moment) -> str:
    """Return which step an event belongs to; empty if that is the last step."""
    return "" if event is None or moment_of(event) == now else step_text(event, now)

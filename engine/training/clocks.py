"""Clocks that time the parts of a training step, on the host or on a CUDA device."""

from __future__ import annotations

import time
from collections.abc import Iterable

import torch


class HostClock:
    """A clock for devices that have finished their work when a call returns."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def mark(self) -> int:
        """Record the current time and return its index."""
        self.times.append(time.perf_counter())
        return len(self.times) - 1

    def milliseconds(self, first: int, second: int) -> float:
        """Return the time between two marks."""
        return 1e3 * (self.times[second] - self.times[first])


class CudaClock:
    """A clock that records CUDA events, because hooks run when work is queued, not when it is done.

    Events recorded while a CUDA graph is captured become part of the graph, so that every replay
    is timed.
    """

    def __init__(self, device: torch.device, events: Iterable[torch.cuda.Event] = ()) -> None:
        self.device = device
        self.events: list[torch.cuda.Event] = list(events)

    def mark(self) -> int:
        """Record an event in the current stream and return its index."""
        captured = torch.cuda.is_current_stream_capturing()
        event = torch.cuda.Event(enable_timing=True, external=captured)
        event.record(torch.cuda.current_stream(self.device))
        self.events.append(event)
        return len(self.events) - 1

    def milliseconds(self, first: int, second: int) -> float:
        """Return the time between two marks.

        All events must have completed, which the transfer at the end of a step ensures.
        """
        return float(self.events[first].elapsed_time(self.events[second]))

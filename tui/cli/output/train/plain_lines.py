"""The report for logs and pipes: one line for each measured step, validation and change."""

from __future__ import annotations

import sys

from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import SessionOpened
from tl_tui.protocol.training import ImageSkipped, StepTaken
from tui.cli.output.names import printable
from tui.cli.output.train.run_summary import RunSummary
from tui.cli.output.train.sentences import (
    divergence_lines,
    ending_lines,
    event_lines,
    opening_lines,
    path_lines,
    progress_text,
    reach_summary,
    skipped_lines,
)
from tui.text.format import format_duration, loss_text


class PlainLines:
    """A report as lines of plain text."""

    def __init__(self) -> None:
        self._summary: RunSummary | None = None

    def opened(self, session: SessionOpened, folds: int | None) -> None:
        self._summary = RunSummary(session)
        self._print(opening_lines(session, folds))

    def event_received(self, event: AnyEvent) -> None:
        assert self._summary is not None
        self._summary.update(event)
        match event:
            case StepTaken():
                if event.rows:
                    self._print([self._step_line(event)])
                self._print(divergence_lines(self._summary, event))
            case ImageSkipped():
                for line in skipped_lines(event):
                    print(printable(line), file=sys.stderr, flush=True)
            case _:
                self._print(event_lines(self._summary, event))

    def close(self, code: int | None) -> None:
        if self._summary is not None and code is not None:
            self._print(ending_lines(self._summary))
            self._print(path_lines(self._summary))

    def _step_line(self, step: StepTaken) -> str:
        assert self._summary is not None
        line = (
            f"{progress_text(self._summary, step)}  loss {loss_text(step.loss)}  "
            f"{step.correct} of {step.batch} correct  {step.seconds * 1000:.1f} ms  "
            f"{reach_summary(step)}"
        )
        if step.seconds_left is None:
            return line
        return f"{line}  {format_duration(step.seconds_left)} left"

    def _print(self, lines: list[str]) -> None:
        for line in lines:
            print(printable(line), flush=True)

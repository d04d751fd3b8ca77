"""The report for a terminal: a progress bar with the last loss, and lines above it."""

from __future__ import annotations

from rich.progress import BarColumn, Progress, TextColumn

from tl_tui.protocol.checks import FoldProgressed
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import EpochResized, SessionOpened
from tl_tui.protocol.training import ImageSkipped, StepTaken, TrainBegan
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
from tui.cli.printing import console, unbroken_lines
from tui.text.format import format_duration, loss_text

REACH_CELLS = 110
"""The terminal width from which the bar also shows the reach of the last measured step."""


class ProgressBar:
    """A report as a progress bar. On a narrow terminal, the bar shrinks before the text does."""

    def __init__(self) -> None:
        self._summary: RunSummary | None = None
        self._console = console()
        self._progress = Progress(
            TextColumn("{task.fields[progress]}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[status]}", markup=False),
            console=self._console,
            expand=True,
        )
        self._task = self._progress.add_task("train", total=None, progress="", status="opening")
        self._progress.start()

    def opened(self, session: SessionOpened, folds: int | None) -> None:
        self._summary = RunSummary(session)
        self._print(opening_lines(session, folds))
        self._progress.update(self._task, status="first step")

    def event_received(self, event: AnyEvent) -> None:
        assert self._summary is not None
        self._summary.update(event)
        match event:
            case TrainBegan():
                self._progress.update(self._task, total=event.to_step, completed=event.step)
            case StepTaken():
                self._stepped(event)
                self._print(divergence_lines(self._summary, event))
            case ImageSkipped():
                self._print(skipped_lines(event))
            case _:
                self._print(event_lines(self._summary, event))
        if isinstance(event, EpochResized) and event.to_step is not None:
            self._progress.update(self._task, total=event.to_step)
        if isinstance(event, FoldProgressed):
            self._progress.update(
                self._task,
                total=event.folds,
                completed=event.fold - 1 + event.step / event.steps,
                progress=f"fold {event.fold}/{event.folds}",
                status=f"step {event.step:,} of {event.steps:,}",
            )

    def close(self, code: int | None) -> None:
        self._progress.stop()
        if self._summary is not None and code is not None:
            self._print(ending_lines(self._summary))
            self._print(path_lines(self._summary))

    def _stepped(self, step: StepTaken) -> None:
        assert self._summary is not None
        parts = [f"loss {loss_text(step.loss)}", f"{step.correct}/{step.batch} correct"]
        if self._summary.measured and self._console.width >= REACH_CELLS:
            parts.append(reach_summary(self._summary.measured))
        if step.seconds_left is not None:
            parts.append(f"{format_duration(step.seconds_left)} left")
        self._progress.update(
            self._task,
            completed=step.step,
            progress=progress_text(self._summary, step),
            status=" · ".join(parts),
        )

    def _print(self, lines: list[str]) -> None:
        for line in lines:
            for part in _parts(printable(line), self._console.width):
                self._console.print(part, markup=False, soft_wrap=True)


def _parts(line: str, width: int) -> list[str]:
    """Wrap a sentence; a line of a table keeps its blanks."""
    return [line] if line.startswith(" ") else unbroken_lines(line, width)

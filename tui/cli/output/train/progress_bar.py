"""A progress bar with the last loss and the time left; above it what is worth a line."""

from __future__ import annotations

from rich.progress import BarColumn, Progress, TextColumn

from tl_tui.protocol.events import AnyEvent, FoldProgressed, ImageSkipped, StepTaken, TrainBegan
from tl_tui.protocol.session import SessionOpened
from tui.cli.output.train.run_summary import RunSummary
from tui.cli.output.train.sentences import (
    event_sentence,
    last_words,
    opening_words,
    parting_words,
    place,
    printable,
    reach_summary,
    skipped_words,
    where_words,
)
from tui.cli.printing import console
from tui.text.format import format_duration, format_loss

WIDE = 110
"""Cells in which the bar also has the reach of the last measured step."""


class ProgressBar:
    """For a terminal; in few columns the bar gives way before the words do."""

    def __init__(self) -> None:
        self._story: RunSummary | None = None
        self._console = console()
        self._progress = Progress(
            TextColumn("{task.fields[place]}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[told]}", markup=False),
            console=self._console,
            expand=True,
        )
        self._task = self._progress.add_task("train", total=None, place="", told="opening")
        self._progress.start()

    def opened(self, session: SessionOpened) -> None:
        self._story = RunSummary(session)
        self._say(opening_words(session))
        self._progress.update(self._task, told="the first step")

    def event_received(self, event: AnyEvent) -> None:
        assert self._story is not None
        self._story.note(event)
        match event:
            case TrainBegan():
                self._progress.update(self._task, total=event.to_step, completed=event.step)
            case StepTaken():
                self._stepped(event)
            case ImageSkipped():
                self._say(skipped_words(event))
            case _:
                self._say(event_sentence(self._story, event))
        if isinstance(event, FoldProgressed):
            self._progress.update(
                self._task,
                total=event.folds,
                completed=event.fold - 1 + event.step / event.steps,
                place=f"fold {event.fold}/{event.folds}",
                told=f"step {event.step:,} of {event.steps:,}",
            )

    def left(self, code: int | None) -> None:
        self._progress.stop()
        if self._story is not None and code is not None:
            words = last_words if self._story.ended else parting_words
            self._say(words(self._story))
            self._say(where_words(self._story), soft_wrap=True)

    def _stepped(self, step: StepTaken) -> None:
        assert self._story is not None
        parts = [f"loss {format_loss(step.loss)}", f"{step.correct}/{step.batch} right"]
        if self._story.measured and self._console.width >= WIDE:
            parts.append(reach_summary(self._story.measured))
        if step.seconds_left is not None:
            parts.append(f"{format_duration(step.seconds_left)} left")
        self._progress.update(
            self._task,
            completed=step.step,
            place=place(self._story, step),
            told=" · ".join(parts),
        )

    def _say(self, lines: list[str], *, soft_wrap: bool = False) -> None:
        for line in lines:
            self._console.print(printable(line), markup=False, soft_wrap=soft_wrap)

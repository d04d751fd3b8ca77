"""A line for every measured step, validation and change; for logs and pipes."""

from __future__ import annotations

import sys

from tl_tui.protocol.events import AnyEvent, ImageSkipped, StepTaken
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
from tui.text.format import format_duration, format_loss


class PlainLines:
    """Plain text, a line each, nothing ever rewritten."""

    def __init__(self) -> None:
        self._story: RunSummary | None = None
        for stream in (sys.stdout, sys.stderr):  # a name may hold what this encoding lacks
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    def opened(self, session: SessionOpened) -> None:
        self._story = RunSummary(session)
        self._say(opening_words(session))

    def event_received(self, event: AnyEvent) -> None:
        assert self._story is not None
        self._story.note(event)
        match event:
            case StepTaken():
                if event.rows:
                    self._say([self._step(event)])
            case ImageSkipped():
                for line in skipped_words(event):
                    print(printable(line), file=sys.stderr, flush=True)
            case _:
                self._say(event_sentence(self._story, event))

    def left(self, code: int | None) -> None:
        if self._story is not None and code is not None:
            words = last_words if self._story.ended else parting_words
            self._say(words(self._story))
            self._say(where_words(self._story))

    def _step(self, step: StepTaken) -> str:
        assert self._story is not None
        line = (
            f"{place(self._story, step)}  loss {format_loss(step.loss)}  "
            f"{step.correct} of {step.batch} right  {step.seconds * 1000:.1f} ms  "
            f"{reach_summary(step)}"
        )
        return (
            line
            if step.seconds_left is None
            else f"{line}  {format_duration(step.seconds_left)} left"
        )

    def _say(self, lines: list[str]) -> None:
        for line in lines:
            print(printable(line), flush=True)

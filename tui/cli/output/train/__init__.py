"""What `tl-tui train` prints while it trains: JSON lines, plain lines, or a progress bar."""

from __future__ import annotations

import sys
from typing import Protocol

from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import SessionOpened


class TrainReport(Protocol):
    """Told what happens, in order."""

    def opened(self, session: SessionOpened) -> None:
        """The session is ready; comes first."""

    def event_received(self, event: AnyEvent) -> None:
        """Any event since; those that are of no interest are passed over."""

    def left(self, code: int | None) -> None:
        """The end, however it came: the exit code, or None if an exception is on its way."""


def train_report(*, as_json: bool) -> TrainReport:
    """The report that fits standard output."""
    if as_json:
        from tui.cli.output.train.json_lines import JsonLines

        return JsonLines()
    if sys.stdout.isatty():
        from tui.cli.output.train.progress_bar import ProgressBar

        return ProgressBar()
    from tui.cli.output.train.plain_lines import PlainLines

    return PlainLines()

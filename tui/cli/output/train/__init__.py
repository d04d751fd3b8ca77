"""What `tl-tui train` prints while it trains: JSON lines, plain lines, or a progress bar."""

from __future__ import annotations

import sys
from typing import Protocol

from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import SessionOpened


class TrainReport(Protocol):
    """A report on a run, from the engine's events."""

    def opened(self, session: SessionOpened, folds: int | None) -> None:
        """Report that the session is ready; called before any event.

        Args:
            session: The session.
            folds: The number of folds of the cross-validation that follows; None if training does.
        """

    def event_received(self, event: AnyEvent) -> None:
        """Report an event, or ignore it."""

    def close(self, code: int | None) -> None:
        """Report the end of the run.

        Args:
            code: The exit code; None if an exception ends the command.
        """


def train_report(*, as_json: bool) -> TrainReport:
    """Return the report that suits standard output.

    Args:
        as_json: Whether to write JSON lines.
    """
    if as_json:
        from tui.cli.output.train.json_lines import JsonLines

        return JsonLines()
    if sys.stdout.isatty():
        from tui.cli.output.train.progress_bar import ProgressBar

        return ProgressBar()
    from tui.cli.output.train.plain_lines import PlainLines

    return PlainLines()

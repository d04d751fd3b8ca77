"""A progress bar for images on standard error, if standard error is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tl_tui.protocol.inference import UnreadableFile
from tui.cli.output.names import printable


class InferenceProgressBar:
    """A progress bar and the lines printed next to it; as a context, it removes the bar at the end.

    Lines for standard output appear above the bar if both are on the terminal.
    """

    def __init__(self, enabled: bool = True) -> None:
        """
        Args:
            enabled: Whether to draw a bar if standard error is a terminal.
        """
        self.unreadable = 0
        """The number of unreadable images so far."""
        self._shares_terminal = sys.stdout.isatty()
        self._progress = None
        if enabled and sys.stderr.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
            from rich.progress import TimeRemainingColumn as Remaining

            from tui.cli.printing import console

            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                Remaining(),
                console=console(stderr=True),
                redirect_stdout=False,
                redirect_stderr=False,
                transient=True,
                expand=True,
            )
            self._task = self._progress.add_task("loading", total=None)

    def __enter__(self) -> InferenceProgressBar:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def set_total(self, images: int) -> None:
        """Set the number of all images."""
        if self._progress is not None:
            self._progress.update(self._task, total=images, description="images")

    def advance(self, images: int) -> None:
        """Advance the bar by a number of images."""
        if self._progress is not None:
            self._progress.advance(self._task, images)

    def print_line(self, text: str) -> None:
        """Print lines on standard output; the text has no final newline."""
        if self._progress is not None and self._shares_terminal:
            self._progress.console.out(text, highlight=False)
        else:
            print(text, flush=True)

    def print_error(self, sentence: str) -> None:
        """Print a line on standard error, above the bar."""
        line = printable(sentence)
        if self._progress is not None:
            self._progress.console.out(line, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def report_unreadable(self, files: Iterable[UnreadableFile]) -> None:
        """Count unreadable images and print a line on standard error for each."""
        for file in files:
            self.unreadable += 1
            self.print_error(f"Skipped {file.path}: {file.reason}")

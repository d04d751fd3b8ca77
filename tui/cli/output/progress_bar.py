"""How far a model is with its images: a bar on standard error, where that is a terminal.

Lines go to standard output, or above the bar where both are the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tl_tui.protocol.inference import UnreadableFile
from tui.cli.output.train.sentences import printable


class InferenceProgressBar:
    """Begun at once; a context, so that the bar goes however it ends."""

    def __init__(self, wanted: bool = True) -> None:
        """
        Args:
            wanted: Draw a bar, if standard error is a terminal.
        """
        for stream in (sys.stdout, sys.stderr):  # a name may hold what this encoding lacks
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        self.unreadable = 0
        self._above = sys.stdout.isatty()
        self._progress = None
        if wanted and sys.stderr.isatty():
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

    def began(self, images: int) -> None:
        if self._progress is not None:
            self._progress.update(self._task, total=images, description="images")

    def advanced(self, images: int) -> None:
        if self._progress is not None:
            self._progress.advance(self._task, images)

    def out(self, text: str) -> None:
        """Lines for standard output, without the last line's end."""
        if self._progress is not None and self._above:
            self._progress.console.out(text, highlight=False)
        else:
            print(text, flush=True)

    def err(self, sentence: str) -> None:
        """A line on standard error, above the bar."""
        line = printable(sentence)
        if self._progress is not None:
            self._progress.console.out(line, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def left_out(self, files: Iterable[UnreadableFile]) -> None:
        """Name what could not be read."""
        for file in files:
            self.unreadable += 1
            self.err(f"Left out {file.path}: {file.reason}")

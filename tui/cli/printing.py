"""The rich console on which commands print when they do not open the screen."""

from __future__ import annotations

import sys

from rich.console import Console

from tui.drawing.terminal import detect_terminal


def console(*, stderr: bool = False) -> Console:
    """Return a rich console on standard output, limited to ASCII if the terminal is.

    Args:
        stderr: Print on standard error instead.
    """
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty() and not detect_terminal().unicode:
        # rich draws with ASCII if the stream's encoding is ASCII.
        stream.reconfigure(encoding="ascii", errors="replace")  # type: ignore[union-attr]
    return Console(highlight=False, stderr=stderr)

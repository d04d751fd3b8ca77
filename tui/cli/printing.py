"""Plain output of the commands without a screen, in what the terminal can show."""

from __future__ import annotations

import sys

from rich.console import Console

from tui.drawing.terminal import detect_terminal


def console(*, stderr: bool = False) -> Console:
    """A rich console on standard output, or error; plain ASCII where the terminal has no more."""
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty() and not detect_terminal().unicode:
        # rich itself draws with ASCII where the stream's encoding has no more.
        stream.reconfigure(encoding="ascii", errors="replace")  # type: ignore[union-attr]
    return Console(highlight=False, stderr=stderr)

"""Plain output of the commands without a screen, in what the terminal can show."""

from __future__ import annotations

import sys

from rich.console import Console

from .terminal import look


def console() -> Console:
    """A rich console on standard output; plain ASCII where the terminal has no more."""
    if sys.stdout.isatty() and not look().unicode:
        # rich itself draws with ASCII where the stream's encoding has no more.
        sys.stdout.reconfigure(encoding="ascii", errors="replace")  # type: ignore[union-attr]
    return Console(highlight=False)

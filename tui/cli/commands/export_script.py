"""`tl-tui export RUN -o FILE`: write a run as a plain training script and check it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from tl_tui.protocol.commands import ExportScript
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.inference import ScriptWritten
from tui.cli import exit_codes
from tui.text.format import format_time_left

if TYPE_CHECKING:
    from tl_tui.connect.client import Connection
    from tui.cli.script_check import Comparison


def export_script(run: str, script: str, *, check: bool, data: str | None, force: bool) -> int:
    """Write a run as a script.

    Args:
        run: The run's directory, its name, or the beginning of its name.
        script: The script's path.
        check: Whether to run the script and compare its losses with the journal's.
        data: The image folder, if it has moved since the run.
        force: Whether to overwrite an existing file.

    Returns:
        The exit code.

    Raises:
        Problem: The script cannot be written.
    """
    from tui.cli import headless

    request = ExportScript(
        id=1,
        run=_absolute(run),
        path=os.path.abspath(script),
        data=None if data is None else os.path.abspath(data),
        force=force,
    )

    async def task(connection: Connection, events: AsyncIterator[AnyEvent]) -> int:
        async for event in headless.run_job(connection, events, request):
            if isinstance(event, ScriptWritten):
                _print_written(script, event)
        return exit_codes.DONE

    code = headless.run(task)
    if code != exit_codes.DONE or not check:
        return code
    return _check(request.run, Path(script))


def _absolute(run: str) -> str:
    """Return a run's path as absolute, since the engine's working directory may differ."""
    return os.path.abspath(run) if os.path.isdir(run) else run


def _print_written(script: str, written: ScriptWritten) -> None:
    print(f"{script}: {written.lines} lines, {written.steps:,} steps.")
    for path in written.extra_files:
        print(f"The script needs {os.path.basename(path)} in the same folder.")
    for note in written.notes:
        print(note)
    sys.stdout.flush()


def _check(run: str, script: Path) -> int:
    """Run the script after the engine has ended and freed its memory; return the exit code."""
    from tui.cli import script_check

    progress = CheckProgress()
    try:
        comparison = script_check.check_script(run, script, progress.on_step)
    except script_check.CheckProblem as problem:
        progress.clear()
        print(f"tl-tui: {problem}", file=sys.stderr)
        return exit_codes.FAILED
    progress.clear()
    print(comparison_sentence(comparison))
    return exit_codes.DONE if comparison.agrees else exit_codes.FAILED


class CheckProgress:
    """The progress of a check on standard error: one line that changes on a terminal, else a line
    after each tenth of the steps."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._began: float | None = None
        self._tenths = 0
        self._show("Checking: the script starts.")

    def on_step(self, step: int, steps: int) -> None:
        """Show that the script has taken a step."""
        text = f"Checking: step {step:,} of {steps:,}"
        now = time.monotonic()
        if self._began is None:
            self._began = now  # the first step also contains the start of the script
        elif step < steps:
            left = (now - self._began) / (step - 1) * (steps - step)
            text += f", {format_time_left(left)}"
        tenths = 10 * step // steps
        if self._terminal or tenths > self._tenths:
            self._show(text)
        self._tenths = tenths

    def clear(self) -> None:
        """Remove the line from a terminal."""
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _show(self, text: str) -> None:
        if self._terminal:
            print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)


def comparison_sentence(comparison: Comparison) -> str:
    """Return how the losses of a script compare with the journal's."""
    steps = f"{comparison.steps:,} losses"
    if comparison.agrees and comparison.equal == comparison.steps:
        return f"Checked: all {steps} are bit-identical to the journal's."
    difference = (
        f"{comparison.equal:,} of {steps} are bit-identical to the journal's; the largest relative "
        f"difference is {comparison.largest:.2g}, at step {comparison.at_step:,}."
    )
    if comparison.agrees:
        return f"Checked: {difference}"
    return f"The script does not train like the run: {difference}"

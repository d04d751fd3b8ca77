"""A run as a plain training script, and the check of it."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from tl_tui.protocol.commands import ExportScript
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.inference import ScriptWritten
from tui.cli import exit_codes

if TYPE_CHECKING:
    from tl_tui.connect.client import Connection
    from tui.cli.script_check import Comparison


def export_script(run: str, script: str, *, check: bool, data: str | None, force: bool) -> int:
    """Write a run as a script.

    Args:
        run: Its directory, its name, or the beginning of that.
        script: The file.
        check: Run it too, and compare its losses with the journal's.
        data: The image folder, if it has moved since.
        force: Write over what is there.

    Raises:
        Problem: it cannot be written.
    """
    from tui.cli import headless

    errand = ExportScript(
        id=1,
        run=_absolute(run),
        path=os.path.abspath(script),
        data=None if data is None else os.path.abspath(data),
        force=force,
    )

    async def task(connection: Connection, events: AsyncIterator[AnyEvent]) -> int:
        async for event in headless.errand(connection, events, errand):
            if isinstance(event, ScriptWritten):
                _tell(script, event)
        return exit_codes.DONE

    code = headless.run(task)
    if code != exit_codes.DONE or not check:
        return code
    return _check(errand.run, Path(script))


def _absolute(run: str) -> str:
    """A run that is named by its path, for an engine that may stand in another folder."""
    return os.path.abspath(run) if os.path.isdir(run) else run


def _tell(script: str, written: ScriptWritten) -> None:
    print(f"{script}: {written.lines} lines, {written.steps:,} steps.")
    for path in written.extra_files:
        print(f"It needs {os.path.basename(path)} beside it.")
    for note in written.notes:
        print(note)
    sys.stdout.flush()


def _check(run: str, script: Path) -> int:
    """Run the script; the engine is gone by now, and its memory free."""
    from tui.cli import script_check

    clear = "\r\x1b[K" if sys.stderr.isatty() else ""

    def on_step(step: int, steps: int) -> None:
        if clear:
            print(f"\rstep {step:,} of {steps:,}", end="", file=sys.stderr, flush=True)

    try:
        comparison = script_check.check_script(run, script, on_step)
    except script_check.CheckProblem as problem:
        print(f"{clear}tl-tui: {problem}", file=sys.stderr)
        return exit_codes.FAILED
    print(clear, end="", file=sys.stderr, flush=True)
    print(in_words(comparison))
    return exit_codes.DONE if comparison.agrees else exit_codes.FAILED


def in_words(comparison: Comparison) -> str:
    """What came of a check."""
    steps = f"{comparison.steps:,} losses"
    if comparison.agrees and comparison.equal == comparison.steps:
        return f"Checked: all {steps} are the journal's, to the bit."
    said = (
        f"{comparison.equal:,} of {steps} are the journal's to the bit; the largest difference is "
        f"{comparison.largest:.2g} of the loss, at step {comparison.at_step:,}."
    )
    return (
        f"Checked: {said}" if comparison.agrees else f"The script does not train the same: {said}"
    )

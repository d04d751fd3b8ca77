"""The command that continues a run which no engine has open, as far as there is one."""

from __future__ import annotations

import shlex
from pathlib import Path

from tl_tui.runs.journal_reader import RunProblem
from tl_tui.runs.journal_writer import CHECKPOINTS, runs_directory
from tl_tui.runs.run_reader import FIRST_FORMAT, read_config, read_run


def run_argument(run: str | Path) -> str:
    """Return a run as the argument of a command: its name, or its path if it is elsewhere."""
    path = Path(run)
    return shlex.quote(path.name if path.parent == runs_directory() else str(path))


def how_to_continue(run: Path, *, screen: bool = False) -> str:
    """Return the clause that says how a run continues, or why it does not.

    Such as `tl-tui resume 20261125-0815 continues it`.

    Args:
        run: The run directory, which need not exist.
        screen: Whether the run is to continue on the screen.
    """
    if _format(run) < FIRST_FORMAT:
        return "an earlier tl-tui wrote it and did not keep what is needed to continue it"
    names = [file.stem for file in (run / CHECKPOINTS).glob("*.safetensors")]
    if not names:
        return "it saved no checkpoint, so it cannot be continued"
    command = f"tl-tui resume {run_argument(run)}"
    if "last" not in names:
        command += f" --checkpoint {'best' if 'best' in names else min(names)}"
    if screen:
        return f"{command} --screen continues it"
    return f"{command}{' with a higher --steps' if _is_done(run) else ''} continues it"


def _format(run: Path) -> int:
    """Return the format of a run directory; that of today if it cannot be read."""
    try:
        return read_config(run)["format"]
    except RunProblem:
        return FIRST_FORMAT


def _is_done(run: Path) -> bool:
    """Return whether a run has reached its end, so that it continues only with a later one."""
    try:
        return read_run(run).state == "done"
    except RunProblem:
        return False

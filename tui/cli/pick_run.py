"""Finding the engine of a run in progress, by the run's name or from a list."""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec

from tl_tui.common.errors import Problem
from tl_tui.connect import slurm
from tl_tui.connect.discovery import RunningEngine, match_engines, running_engines
from tl_tui.protocol.config import RunConfig
from tl_tui.runs.continuing import how_to_continue
from tl_tui.runs.journal_reader import RunProblem
from tl_tui.runs.run_reader import (
    OtherHost,
    find_run,
    original_config,
    runs_elsewhere,
    written_elsewhere,
)


class OnAnotherHost(Problem):
    """The run is in progress on another host; the text says where and how to reach it.

    Attributes:
        run: The run's directory.
        host: The host that writes to it.
        job_over: Whether the run belonged to a SLURM job that has ended.
    """

    def __init__(self, run: Path, host: OtherHost) -> None:
        self.run, self.host = run, host
        self.job_over = bool(host.job) and slurm.job_state(host.job) == ""
        in_job = f" in SLURM job {host.job}" if host.job else ""
        if self.job_over:
            hint = f"; that job has ended; {how_to_continue(run)}"
        elif host.job:
            hint = f": {shlex.join(self.command('attach'))}"
        else:
            hint = f": tl-tui attach --host {host.host} {run.name}"
        verb = "was" if self.job_over else "is"
        super().__init__(f"{run.name} {verb} running{in_job} on {host.host}{hint}")

    def command(self, name: str) -> list[str]:
        """Return the command line that executes `tl-tui NAME` for this run inside its job."""
        command = (*slurm.srun_tl_tui_command(), name, self.run.name)
        return slurm.overlap_command(self.host.job, *command, terminal=name == "attach")


def engine_of(run: str) -> RunningEngine:
    """Return the engine of a run that is in progress on this machine.

    Args:
        run: The run's directory, its name, or the beginning of its name.

    Raises:
        Problem: No run or several runs match; the text suggests what to do.
    """
    engines = running_engines()
    matches = match_engines(engines, run)
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(engine.name for engine in matches[:3])
        raise Problem(f"{run} may be any of {len(matches)} runs ({names}); name one of them.")
    names = ", ".join(engine.name for engine in engines[:3])
    others = f"running here: {names}" if names else "no run is in progress here"
    try:
        path = find_run(run)
    except RunProblem:
        raise Problem(f"There is no run {run} in progress; {others}.") from None
    if host := written_elsewhere(path):
        raise OnAnotherHost(path, host)
    raise Problem(f"{path.name} has ended ({others}); {how_to_continue(path, screen=True)}.")


def choose_engine(run: str | None, *, ascii_only: bool, theme: str | None) -> RunningEngine | None:
    """Return the engine of a named run, of the only run in progress, or of one chosen from a list.

    Args:
        run: The run as the user named it; None if the user named none.
        ascii_only: Whether to draw the list with ASCII characters only.
        theme: The name of the list's palette; None is the last one used.

    Returns:
        None if the user left the list without a choice.

    Raises:
        Problem: No run is in progress, or the name matches none or several.
    """
    if run is not None:
        return engine_of(run)
    engines = running_engines()
    if not engines:
        others = [OnAnotherHost(path, host) for path, host in runs_elsewhere()]
        others = [other for other in others if not other.job_over]
        if len(others) == 1:
            raise others[0]
        if others:
            names = ", ".join(f"{other.run.name} on {other.host.host}" for other in others[:5])
            raise Problem(
                f"No run is in progress here, but elsewhere there are {names}; name one of them."
            )
        raise Problem(
            "No run is in progress here. tl-tui runs lists all runs, and tl-tui resume RUN "
            "--screen continues one."
        )
    if len(engines) == 1:
        return engines[0]
    from tui.app.run_chooser import choose_run

    return choose_run(engines, ascii_only=ascii_only, theme=theme)


def config_of(engine: RunningEngine) -> RunConfig:
    """Return the configuration with which an engine's run was opened.

    Before the run has a directory, the configuration holds only what the engine reports.
    """
    try:
        config = original_config(engine.greeted.run_dir)
        return msgspec.structs.replace(config, run_dir=engine.greeted.run_dir)
    except (RunProblem, msgspec.ValidationError):
        return RunConfig(arch=engine.greeted.arch)

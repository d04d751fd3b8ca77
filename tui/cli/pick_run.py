"""Which of the runs that go on is meant: by name, or from a list."""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec

from tl_tui.common.errors import Problem
from tl_tui.connect import slurm
from tl_tui.connect.discovery import RunningEngine, match_engines, running_engines
from tl_tui.protocol.config import RunConfig
from tl_tui.runs.journal_reader import RunProblem
from tl_tui.runs.run_reader import (
    OtherHost,
    find_run,
    original_config,
    runs_elsewhere,
    written_elsewhere,
)


class OnAnotherHost(Problem):
    """The run goes on, and not here; the text says where, and how to reach it."""

    def __init__(self, run: Path, where: OtherHost) -> None:
        self.run, self.where = run, where
        self.job_over = bool(where.job) and slurm.job_state(where.job) == ""
        in_job = f" in SLURM job {where.job}" if where.job else ""
        if self.job_over:
            how = f"; that job is over, and tl-tui resume {run.name} goes on"
        elif where.job:
            how = f": {shlex.join(self.command('attach'))}"
        else:
            how = f": tl-tui attach --host {where.host} {run.name}"
        went = "went" if self.job_over else "goes"
        super().__init__(f"{run.name} {went} on{in_job} on {where.host}{how}")

    def command(self, what: str) -> list[str]:
        """The command line that attaches to the run, or stops it, beside what its job does."""
        words = (*slurm.srun_tl_tui_command(), what, self.run.name)
        return slurm.overlap_command(self.where.job, *words, terminal=what == "attach")


def engine_of(run: str) -> RunningEngine:
    """The engine of a run that goes on here.

    Raises:
        Problem: none goes on under this name, or more than one; what to do instead.
    """
    engines = running_engines()
    found = match_engines(engines, run)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(one.name for one in found[:3])
        raise Problem(f"{run} may be any of {len(found)} runs ({names}); name one of them.")
    there = ", ".join(one.name for one in engines[:3])
    going = f"these go on: {there}" if there else "no run goes on here"
    try:
        ended = find_run(run)
    except RunProblem:
        raise Problem(f"There is no run {run} that goes on; {going}.") from None
    if where := written_elsewhere(ended):
        raise OnAnotherHost(ended, where)
    raise Problem(
        f"{ended.name} has ended ({going}); tl-tui resume {ended.name} --screen goes on with it."
    )


def one_engine(run: str | None, *, ascii_only: bool, theme: str | None) -> RunningEngine | None:
    """The engine that is meant: of a run by name, the only one, or one chosen from a list.

    Args:
        run: As the user gave it, if at all.
        ascii_only: Draw the list with ASCII alone.
        theme: The list's colours; None are those of last time.

    Returns:
        None if the list was left.

    Raises:
        Problem: there is none, or the name fits none or many.
    """
    if run is not None:
        return engine_of(run)
    engines = running_engines()
    if not engines:
        others = [OnAnotherHost(path, where) for path, where in runs_elsewhere()]
        others = [other for other in others if not other.job_over]
        if len(others) == 1:
            raise others[0]
        if others:
            names = ", ".join(f"{other.run.name} on {other.where.host}" for other in others[:5])
            raise Problem(f"No run goes on here, and these elsewhere: {names}; name one of them.")
        raise Problem(
            "No run goes on here without its screen; tl-tui runs lists all, and tl-tui resume RUN "
            "--screen goes on with one."
        )
    if len(engines) == 1:
        return engines[0]
    from tui.app.run_chooser import choose_run

    return choose_run(engines, ascii_only=ascii_only, theme=theme)


def config_of(found: RunningEngine) -> RunConfig:
    """What the run was opened with; without a run directory yet, as much as the engine says."""
    try:
        config = original_config(found.greeted.run_dir)
        return msgspec.structs.replace(config, run_dir=found.greeted.run_dir)
    except (RunProblem, msgspec.ValidationError):
        return RunConfig(arch=found.greeted.arch)

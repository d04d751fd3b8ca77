"""SLURM: the state and end of a job, advice for `doctor`, and batch scripts that resume a run.

The environment variables, commands and options used here are those of SLURM's manual pages:
SLURM_JOB_ID, SLURM_STEP_ID and SLURM_JOB_END_TIME; `squeue -h -j JOB -o %T` and `%e`; `srun --pty`
and `srun --jobid JOB --overlap --pty`; `sbatch` with --signal, --requeue and --open-mode.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SQUEUE_TIMEOUT_S = 10
GPU_COMMAND = "srun --pty --gres=gpu:1 tl-tui"
SIGNAL_BEFORE_END_S = 300
"""How long before its time limit a job receives SIGUSR1, so that it can save and be requeued."""


def slurm_is_installed() -> bool:
    """Return whether this machine has SLURM's commands."""
    return shutil.which("srun") is not None


def no_terminal_sentence() -> str:
    """Return how to get a terminal in SLURM, in a sentence; empty without SLURM."""
    if not (slurm_is_installed() or "SLURM_JOB_ID" in os.environ):
        return ""
    return f" In SLURM, {GPU_COMMAND} has one; in a batch script, use tl-tui train."


def doctor_sentences(job: str, environment: Mapping[str, str]) -> list[str]:
    """Return what SLURM means for tl-tui on this machine.

    Args:
        job: The job that this process runs in; empty outside of a job.
        environment: The environment variables of this process.
    """
    if job:
        step = environment.get("SLURM_STEP_ID", "")
        where = f"a step of SLURM job {job}" if step else f"SLURM job {job}"
        ends = job_end(job, environment)
        until = f", which ends at {time.strftime('%H:%M', time.localtime(ends))}" if ends else ""
        return [
            f"This is {where}{until}: an engine that is left here ends with it. The app "
            "(: Save an sbatch script) writes a job that resumes a run."
        ]
    if environment.get("SLURM_JOB_ID"):
        return [
            f"This shell holds allocation {environment['SLURM_JOB_ID']}, but is not on one of its "
            "nodes; srun --pty tl-tui opens the app there."
        ]
    if slurm_is_installed():
        return [f"SLURM is installed, but this shell is in no job: {GPU_COMMAND} opens one."]
    return []


# --- jobs ---------------------------------------------------------------------------------------


def job_state(job: str) -> str | None:
    """Return the state of a job, such as RUNNING; empty if it is over, None if it is unknown."""
    output = _squeue(job, "%T")
    return output.split()[0] if output else output


def job_end(job: str, environment: Mapping[str, str] | None = None) -> float | None:
    """Return when a job ends, in seconds since 1970; None if it is not known.

    Args:
        job: The id of the job.
        environment: The environment variables of a process in the job, if known.
    """
    variable = (environment or {}).get("SLURM_JOB_END_TIME", "")
    if variable.isdigit():
        return float(variable)
    output = _squeue(job, "%e")
    try:
        return time.mktime(time.strptime(output or "", "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None  # N/A: the job has no time limit


def _squeue(job: str, format: str) -> str | None:
    try:
        done = subprocess.run(
            ["squeue", "-h", "-j", job, "-o", format],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SQUEUE_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode == 0:
        return done.stdout.strip()
    return "" if "Invalid job id" in done.stderr else None  # squeue forgets ended jobs


def overlap_command(job: str, *command: str, terminal: bool) -> list[str]:
    """Return the command line that runs a command in a job in addition to its own steps.

    Args:
        job: The id of the job.
        command: The command and its arguments.
        terminal: Whether the command needs a terminal.
    """
    pty = ["--pty"] if terminal else []
    return ["srun", "--jobid", job, "--overlap", *pty, *command]


def duration_text(seconds: float) -> str:
    """Return a duration such as `3 h 41` or `12 min`."""
    minutes = max(0, round(seconds / 60))
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {minutes:02}" if hours else f"{minutes} min"


# --- a batch script -----------------------------------------------------------------------------


@dataclass(frozen=True)
class BatchScript:
    """A batch script that resumes a run, and is requeued until the run is done."""

    run_dir: str
    name: str
    tl_tui: tuple[str, ...]
    """The command that runs tl-tui."""
    gpus: int
    cpus: int | None
    partition: str
    account: str
    minutes: int
    """The time limit of the job."""

    def text(self) -> str:
        """Return the script, for `sbatch`."""
        options = [
            f"--job-name={self.name}",
            f"--output={self.name}-%j.log",
            "--open-mode=append",
            f"--time={self.minutes // 60}:{self.minutes % 60:02}:00",
            "--ntasks=1",
        ]
        options += [f"--gres=gpu:{self.gpus}"] if self.gpus else []
        options += [f"--cpus-per-task={self.cpus}"] if self.cpus else []
        options += [f"--partition={self.partition}"] if self.partition else []
        options += [f"--account={self.account}"] if self.account else []
        options += ["--requeue", f"--signal=USR1@{SIGNAL_BEFORE_END_S}"]
        command = " ".join(shlex.quote(word) for word in (*self.tl_tui, "resume", self.run_dir))
        return "\n".join(
            [
                "#!/bin/bash",
                *(f"#SBATCH {option}" for option in options),
                "",
                f"# Resumes {self.name} from its last checkpoint, also after a requeue.",
                f"# SLURM sends SIGUSR1 {SIGNAL_BEFORE_END_S // 60} minutes before the time limit:",
                "# tl-tui saves and ends with code 75, and the job is requeued.",
                f"srun {command}",
                "code=$?",
                'if [ "$code" -eq 75 ]; then',
                '    scontrol requeue "$SLURM_JOB_ID"',
                "    exit 0",
                "fi",
                'exit "$code"',
                "",
            ]
        )


def batch_script(
    run_dir: str, name: str, tl_tui: tuple[str, ...], environment: Mapping[str, str]
) -> BatchScript:
    """Return a script that requests the resources of the current job.

    Args:
        run_dir: The directory of the run to resume.
        name: The name of the run.
        tl_tui: The command that runs tl-tui.
        environment: The environment variables of a process in the current job.
    """
    gpus = environment.get("SLURM_GPUS_ON_NODE", "")
    cpus = environment.get("SLURM_CPUS_PER_TASK") or environment.get("SLURM_CPUS_ON_NODE", "")
    begins, ends = (environment.get(f"SLURM_JOB_{n}_TIME", "") for n in ("START", "END"))
    minutes = 240
    if begins.isdigit() and ends.isdigit() and int(ends) > int(begins):
        minutes = max(10, (int(ends) - int(begins)) // 60)
    return BatchScript(
        run_dir=run_dir,
        name=name,
        tl_tui=tl_tui,
        gpus=int(gpus) if gpus.isdigit() else 0,
        cpus=int(cpus) if cpus.isdigit() else None,
        partition=environment.get("SLURM_JOB_PARTITION", ""),
        account=environment.get("SLURM_JOB_ACCOUNT", ""),
        minutes=minutes,
    )


def write_batch_script(run_dir: str, environment: Mapping[str, str]) -> str:
    """Write a script that resumes a run into the working directory.

    Args:
        run_dir: The run directory.
        environment: The environment variables of a process in the current job.

    Returns:
        What to do with the script, in a sentence.

    Raises:
        OSError: It cannot be written.
    """
    name = Path(run_dir).name
    path = Path(f"{name}.sbatch")
    script = batch_script(run_dir, name, tl_tui_command(), environment)
    path.write_text(script.text(), encoding="utf-8", errors="surrogateescape")
    return f"sbatch {path} resumes {name} after its engine has ended."


def srun_tl_tui_command() -> tuple[str, ...]:
    """Return the command that runs tl-tui under srun, with the same Python environment."""
    return ("tl-tui",) if shutil.which("tl-tui") else tl_tui_command()


def tl_tui_command() -> tuple[str, ...]:
    """Return the command that runs tl-tui on any node with this file system."""
    from tl_tui.connect.client import LAUNCHER

    installed = shutil.which("tl-tui")
    return (os.path.abspath(installed),) if installed else (sys.executable, os.fspath(LAUNCHER))

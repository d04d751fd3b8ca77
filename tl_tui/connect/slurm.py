"""SLURM, as far as a screen has to know it: where a job is, when it ends, and what outlives it.

What is read and run here is of SLURM's own manual pages: the variables of a job step
(SLURM_JOB_ID, SLURM_STEP_ID, SLURM_JOB_END_TIME), `squeue -h -j JOB -o %T` and `%e`, `srun --pty`,
`srun --jobid JOB --overlap --pty`, and `sbatch` with --signal, --requeue and --open-mode.
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

PATIENCE_S = 10
ON_A_GPU = "srun --pty --gres=gpu:1 tl-tui"
BEFORE_END_S = 300
"""How long before the end of its time a job is told, so that it can save and be requeued."""


def slurm_is_installed() -> bool:
    """This machine has SLURM's commands."""
    return shutil.which("srun") is not None


def no_terminal_words() -> str:
    """For the sentence that the screen has no terminal; empty without SLURM."""
    if not (slurm_is_installed() or "SLURM_JOB_ID" in os.environ):
        return ""
    return f" In SLURM, {ON_A_GPU} has one; a batch script runs tl-tui train."


def doctor_sentences(job: str, environment: Mapping[str, str]) -> list[str]:
    """What SLURM means for tl-tui on this machine.

    Args:
        job: The job whose step this is; empty outside of one.
        environment: Of this process.
    """
    if job:
        step = environment.get("SLURM_STEP_ID", "")
        where = f"a step of SLURM job {job}" if step else f"SLURM job {job}"
        ends = job_end(job, environment)
        until = f", which ends at {time.strftime('%H:%M', time.localtime(ends))}" if ends else ""
        return [
            f"This is {where}{until}: an engine that is left here ends with it. The screen "
            "(: Save an sbatch script) writes a job that goes on with a run."
        ]
    if environment.get("SLURM_JOB_ID"):
        return [
            f"Allocation {environment['SLURM_JOB_ID']} is held and this is not one of its nodes; "
            "srun --pty tl-tui opens the screen there."
        ]
    if slurm_is_installed():
        return [f"SLURM is here, and this shell is in no job: {ON_A_GPU} opens the screen in one."]
    return []


# --- jobs ---------------------------------------------------------------------------------------


def job_state(job: str) -> str | None:
    """Such as RUNNING; empty if the job is over, None if that cannot be found out."""
    said = _squeue(job, "%T")
    return said.split()[0] if said else said


def job_end(job: str, environment: Mapping[str, str] | None = None) -> float | None:
    """When a job ends, in seconds since 1970; None if it is not known.

    Args:
        job: Its number.
        environment: Of a process in it, where that is known.
    """
    told = (environment or {}).get("SLURM_JOB_END_TIME", "")
    if told.isdigit():
        return float(told)
    said = _squeue(job, "%e")
    try:
        return time.mktime(time.strptime(said or "", "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None  # N/A, or a job without an end


def _squeue(job: str, format: str) -> str | None:
    try:
        done = subprocess.run(
            ["squeue", "-h", "-j", job, "-o", format],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode == 0:
        return done.stdout.strip()
    return "" if "Invalid job id" in done.stderr else None  # forgotten some minutes after its end


def overlap_command(job: str, *command: str, terminal: bool) -> list[str]:
    """The command line that runs something beside what a job is running.

    Args:
        job: Its number.
        command: What to run.
        terminal: It needs one.
    """
    pty = ["--pty"] if terminal else []
    return ["srun", "--jobid", job, "--overlap", *pty, *command]


def time_words(seconds: float) -> str:
    """Such as `3 h 41`, `12 min`."""
    minutes = max(0, round(seconds / 60))
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {minutes:02}" if hours else f"{minutes} min"


# --- a batch script -----------------------------------------------------------------------------


@dataclass(frozen=True)
class BatchScript:
    """A job that goes on with a run until it is done, over as many allocations as that takes."""

    run_dir: str
    name: str
    tl_tui: tuple[str, ...]
    """What runs tl-tui."""
    gpus: int
    cpus: int | None
    partition: str
    account: str
    minutes: int

    def text(self) -> str:
        """The script, for `sbatch`."""
        asked = [
            f"--job-name={self.name}",
            f"--output={self.name}-%j.log",
            "--open-mode=append",
            f"--time={self.minutes // 60}:{self.minutes % 60:02}:00",
            "--ntasks=1",
        ]
        asked += [f"--gres=gpu:{self.gpus}"] if self.gpus else []
        asked += [f"--cpus-per-task={self.cpus}"] if self.cpus else []
        asked += [f"--partition={self.partition}"] if self.partition else []
        asked += [f"--account={self.account}"] if self.account else []
        asked += ["--requeue", f"--signal=USR1@{BEFORE_END_S}"]
        command = " ".join(shlex.quote(word) for word in (*self.tl_tui, "resume", self.run_dir))
        return "\n".join(
            [
                "#!/bin/bash",
                *(f"#SBATCH {option}" for option in asked),
                "",
                f"# Goes on with {self.name} from its last checkpoint, under a new number too.",
                f"# {BEFORE_END_S // 60} minutes before its time is up SLURM sends SIGUSR1 to the",
                "# step: tl-tui saves and ends with code 75, and the job goes back into the queue.",
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
    """A script that asks for what this job has.

    Args:
        run_dir: The run that goes on.
        name: Its name.
        tl_tui: What runs tl-tui.
        environment: Of a process in the job.
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
    """Write the script that goes on with a run into the working directory.

    Args:
        run_dir: The run.
        environment: Of a process in the job whose like is asked for.

    Returns:
        What to do with it, in a sentence.

    Raises:
        OSError: it cannot be written.
    """
    name = Path(run_dir).name
    path = Path(f"{name}.sbatch")
    path.write_text(batch_script(run_dir, name, tl_tui_command(), environment).text())
    return f"sbatch {path} goes on with {name} once its engine has ended."


def tl_tui_words() -> tuple[str, ...]:
    """What runs tl-tui where the environment is this one, as srun makes it."""
    return ("tl-tui",) if shutil.which("tl-tui") else tl_tui_command()


def tl_tui_command() -> tuple[str, ...]:
    """What runs tl-tui on any node that has this file system."""
    found = shutil.which("tl-tui")
    from tl_tui.connect.client import LAUNCHER

    return (os.path.abspath(found),) if found else (sys.executable, os.fspath(LAUNCHER))

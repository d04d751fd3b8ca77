"""SLURM, with stand-ins for its commands: messages, the batch script, attaching to a job."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.app_pilot import (
    make_app,
    ready,
    screen_lines,
    screen_text,
    steps_taken,
    wait_until,
)
from tests.support.pseudo_terminal import PATIENCE, ROOT, Terminal
from tests.support.scripted_engine import ScriptedEngine
from tl_tui.common.host import host_info
from tl_tui.connect import slurm
from tl_tui.protocol.events import Greeted
from tl_tui.runs.journal_writer import ENGINE, JournalWriter
from tl_tui.runs.run_reader import written_elsewhere

TL_TUI = [sys.executable, str(ROOT / "tl_tui/__main__.py")]
IN_STEP = {"SLURM_JOB_ID": "42", "SLURM_STEP_ID": "0", "SLURMD_NODENAME": "node7"}


def stand_in(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put stand-ins first in PATH: srun records its arguments, squeue knows only job 42."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    stand_in(folder, "srun", f'printf "%s\\n" "$@" > {folder}/called')
    stand_in(
        folder,
        "squeue",
        'case "$*" in\n'
        '*"-j 42 "*%T) echo RUNNING ;;\n'
        '*"-j 42 "*%e) echo 2030-01-02T03:04:05 ;;\n'
        '*) echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1 ;;\n'
        "esac",
    )
    stand_in(folder, "tl-tui", f'exec {" ".join(TL_TUI)} "$@"')
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name in list(os.environ):
        if name.startswith("SLURM"):
            monkeypatch.delenv(name)
    return folder


def home(tmp_path: Path) -> dict[str, str]:
    names = ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "TL_TUI_TMPDIR")
    return {name: str(tmp_path) for name in names}


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TL_TUI, *arguments],
        env=os.environ | home(tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
    )


def run_elsewhere(tmp_path: Path, *, host: str = "node7", job: str = "42") -> Path:
    """Write a run directory that an engine on another host has open."""
    path = tmp_path / "tl-tui" / "runs" / "20261125-081500-resnet18-abcd"
    record = JournalWriter(path)
    record.begin({"arch": "resnet18"})
    info = json.loads((path / ENGINE).read_text())
    assert info["host"] == socket.gethostname()
    record.close()
    assert not (path / ENGINE).exists(), "the file is removed with its engine"
    (path / ENGINE).write_text(json.dumps(info | {"host": host, "job": job}))
    return path


# --- jobs and hosts -----------------------------------------------------------------------------


def test_job_is_known_in_a_step_but_not_in_an_allocation() -> None:
    assert host_info(IN_STEP, "node7").job == "42"
    assert host_info({"SLURM_JOB_ID": "42"}, "login1").job == "", (
        "the shell of salloc runs on the login node"
    )
    assert host_info({}, "login1").job == ""
    ends = host_info(IN_STEP | {"SLURM_JOB_END_TIME": "1900000000"}, "node7").job_ends
    assert ends == 1_900_000_000


def test_job_state_and_end_come_from_squeue(commands: Path) -> None:
    assert slurm.job_state("42") == "RUNNING"
    assert slurm.job_state("41") == "", "SLURM has forgotten it"
    end = slurm.job_end("42")
    assert end == time.mktime((2030, 1, 2, 3, 4, 5, 0, 0, -1))
    assert slurm.job_end("41") is None
    assert slurm.job_end("41", {"SLURM_JOB_END_TIME": "1900000000"}) == 1_900_000_000
    (commands / "squeue").unlink()
    stand_in(commands, "squeue", "exit 1")
    assert slurm.job_state("42") is None, "squeue failed, so the state is unknown"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(13_260, "3 h 41"), (600, "10 min"), (-5, "0 min"), (200_000, "2 days")],
)
def test_time_left_text(seconds: float, text: str) -> None:
    assert slurm.duration_text(seconds) == text


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_title_shows_when_the_job_ends_and_quitting_offers_a_script(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = ScriptedEngine()
    app = make_app(engine)
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        ends = time.time() + 3 * 3600 + 41 * 60
        engine.emit(Greeted(protocol=1, version="0", pid=1, job="42", job_ends=ends))
        await wait_until(pilot, lambda: "job ends in 3 h 41" in screen_lines(app)[0])
        await pilot.press("t")
        await steps_taken(pilot, 1)
        await pilot.press("q")
        await wait_until(
            pilot, lambda: "The run ends with SLURM job 42" in " ".join(screen_text(app).split())
        )
        await pilot.press("b")
        await wait_until(pilot, lambda: not app.is_running)
    (script,) = tmp_path.glob("*.sbatch")
    assert " resume " in script.read_text()
    assert script.name in app.parting and not engine.detached


# --- messages -----------------------------------------------------------------------------------


def test_error_without_a_terminal_suggests_srun(commands: Path, tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2
    assert "srun --pty --gres=gpu:1 tl-tui has one" in done.stderr
    (commands / "srun").unlink()
    if shutil.which("srun") is None:
        assert "srun" not in run(tmp_path).stderr


def test_doctor_outside_a_job_in_an_allocation_and_in_a_step(commands: Path) -> None:
    (login,) = slurm.doctor_sentences("", {})
    assert "in no job: srun --pty --gres=gpu:1 tl-tui opens one" in login
    (held,) = slurm.doctor_sentences("", {"SLURM_JOB_ID": "42"})
    assert "srun --pty tl-tui opens the app there" in held
    (step,) = slurm.doctor_sentences("42", IN_STEP)
    assert "a step of SLURM job 42, which ends at 03:04" in step
    assert "an engine that is left here ends with it" in step


# --- the batch script ---------------------------------------------------------------------------


def test_script_requests_the_resources_of_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = IN_STEP | {
        "SLURM_GPUS_ON_NODE": "1",
        "SLURM_CPUS_ON_NODE": "8",
        "SLURM_JOB_PARTITION": "gpu",
        "SLURM_JOB_ACCOUNT": "vision",
        "SLURM_JOB_START_TIME": "1000",
        "SLURM_JOB_END_TIME": str(1000 + 6 * 3600),
    }
    run_dir = str(tmp_path / "it's; a run")
    message = slurm.write_batch_script(run_dir, environment)
    script = tmp_path / "it's; a run.sbatch"
    assert str(script.name) in message
    text = script.read_text()
    for option in (
        "--time=6:00:00",
        "--gres=gpu:1",
        "--cpus-per-task=8",
        "--partition=gpu",
        "--account=vision",
        "--requeue",
        "--signal=USR1@300",
        "--open-mode=append",
    ):
        assert f"#SBATCH {option}\n" in text
    assert not subprocess.run(["bash", "-n", script]).returncode


@pytest.mark.parametrize(
    ("code", "requeued", "ends"), [(75, True, 0), (0, False, 0), (1, False, 1)]
)
def test_script_requeues_itself_on_exit_code_75(
    code: int,
    requeued: bool,
    ends: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    commands: Path,
) -> None:
    """bash runs the script as a batch shell would, with stand-ins for srun and scontrol."""
    monkeypatch.chdir(tmp_path)
    run_dir = str(tmp_path / "a run $(touch harm)")
    slurm.write_batch_script(run_dir, {})
    stand_in(commands, "srun", f'printf "%s\\n" "$@" > {commands}/called; exit {code}')
    stand_in(commands, "scontrol", f'echo "$@" > {commands}/requeued')
    (script,) = tmp_path.glob("*.sbatch")
    done = subprocess.run(["bash", script], env=os.environ | {"SLURM_JOB_ID": "42"})
    assert done.returncode == ends
    called = (commands / "called").read_text().splitlines()
    assert called[-2:] == ["resume", run_dir] and not (tmp_path / "harm").exists()
    assert (commands / "requeued").exists() == requeued
    if requeued:
        assert (commands / "requeued").read_text() == "requeue 42\n"


# --- from another host --------------------------------------------------------------------------


def test_attach_from_another_host_offers_srun(commands: Path, tmp_path: Path) -> None:
    path = run_elsewhere(tmp_path)
    env = home(tmp_path) | {"PATH": os.environ["PATH"]}
    for arguments in (["attach", "20261125"], ["attach"]):
        (commands / "called").unlink(missing_ok=True)
        terminal = Terminal([*TL_TUI, *arguments], columns=100, env=env)
        terminal.wait_for(r"is running in SLURM job 42 on node7")
        terminal.wait_for(r"Run srun --jobid 42 --overlap --pty tl-tui attach 20261125")
        terminal.press("enter")
        assert terminal.wait_exit() == 0
        terminal.close()
        called = (commands / "called").read_text().splitlines()
        expected = ["--jobid", "42", "--overlap", "--pty", "tl-tui", "attach", path.name]
        assert called == expected
    stopped = run(tmp_path, "stop", "20261125")
    assert stopped.returncode == 2
    assert f"srun --jobid 42 --overlap tl-tui stop {path.name}" in stopped.stderr


def test_run_whose_job_has_ended_is_resumed(commands: Path, tmp_path: Path) -> None:
    path = run_elsewhere(tmp_path, job="41")
    done = run(tmp_path, "stop", "20261125")
    assert done.returncode == 2
    assert "that job has ended; it saved no checkpoint" in done.stderr
    (path / "checkpoints").mkdir()
    (path / "checkpoints" / "last.safetensors").touch()
    done = run(tmp_path, "stop", "20261125")
    assert "that job has ended; tl-tui resume " in done.stderr


def test_run_on_another_host_without_slurm_suggests_ssh(commands: Path, tmp_path: Path) -> None:
    path = run_elsewhere(tmp_path, host="gpu1", job="")
    assert written_elsewhere(path)
    done = run(tmp_path, "stop", "20261125")
    assert f"on gpu1: tl-tui attach --host gpu1 {path.name}" in done.stderr

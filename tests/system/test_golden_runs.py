"""Files written by version 0.1.0 can be shown, resumed and exported; see tests/golden/v0.1.0."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import command_line
from tests.support.command_line import isolated_environment
from tests.support.exported_scripts import run_scripts
from tests.support.paths import ROOT

GOLDEN = ROOT / "tests" / "golden" / "v0.1.0"
IMAGES = GOLDEN / "images"
LOSSES = [
    0.8160538077354431,
    0.7248347997665405,
    0.5510594844818115,
    0.7462081909179688,
    0.9387120604515076,
    0.6412429809570312,
    0.24411454796791077,
    0.11970018595457077,
    0.05801662057638168,
    0.02158815786242485,
]
"""The losses in the journal, for the ten steps of the last start."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of the run, which the test may change."""
    return Path(shutil.copytree(GOLDEN / "run", tmp_path / "run"))


def tl_tui(*words: str | Path, folder: Path) -> str:
    """Run a command that must succeed, with its files in `folder`, and return its output."""
    done = command_line.run(*words, env=isolated_environment(folder))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_show_reads_both_starts_of_the_run(run: Path, tmp_path: Path) -> None:
    shown = json.loads(tl_tui("show", run, "--json", folder=tmp_path))
    first, last = shown["history"]
    assert [step for step, _ in first["losses"]] == [1]  # step 2 was refused
    assert [loss for _, loss in last["losses"]] == LOSSES
    best = shown["best"]
    assert (best["start"], best["step"], best["correct"], best["total"]) == (1, 2, 5, 8)
    text = tl_tui("show", run, folder=tmp_path)
    assert "shufflenet_v2_x0_5" in text


def test_show_reads_a_cross_validation(tmp_path: Path) -> None:
    folds = shutil.copytree(GOLDEN / "folds", tmp_path / "folds")
    assert "shufflenet_v2_x0_5" in tl_tui("show", folds, folder=tmp_path)


def test_resume_continues_after_the_last_step(run: Path, tmp_path: Path) -> None:
    printed = tl_tui("resume", run, "--data", IMAGES, "--epochs", "6", "--json", folder=tmp_path)
    events = [json.loads(line) for line in printed.splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == [11, 12]
    trained = {layer["name"] for layer in steps[0]["layers"] if layer["reach"] == "updated"}
    assert trained == {"stage4.2", "stage4.3", "conv5.0", "fc"}


def test_its_script_and_a_new_export_take_the_same_steps(run: Path, tmp_path: Path) -> None:
    """Other kernels round losses differently, and the difference grows with the steps."""
    old, new = tmp_path / "old.py", tmp_path / "new.py"
    text = (GOLDEN / "train.py").read_text()
    old.write_text(text.replace("/data/golden/images", str(IMAGES)))
    tl_tui("export", run, "-o", new, "--data", IMAGES, folder=tmp_path)
    for printed in run_scripts(old, new, cwd=tmp_path):
        losses = [loss for _, loss in printed]
        assert losses[:4] == pytest.approx(LOSSES[:4], rel=1e-3)
        assert losses == pytest.approx(LOSSES, abs=0.1)


def test_a_saved_configuration_still_opens(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tl_tui", "train", "--config", GOLDEN / "job.toml", "--json"]
        + ["--run-dir", tmp_path / "run"],
        cwd=ROOT,
        env=os.environ | isolated_environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    opened = next(event for event in events if event["event"] == "opened")
    assert (opened["arch"], opened["batch_size"]) == ("shufflenet_v2_x0_5", 8)
    assert events[-1]["event"] == "ended"
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    recipe = config["recipe"]
    assert (recipe["optimizer"], recipe["schedule"], recipe["epochs"]) == ("adamw", "cosine", 6)
    assert config["plan"]["name"] == "gradual" and recipe["balance"]

"""What 0.1.0 wrote can still be read, shown, resumed and exported; see the README beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "v0.1.0"
IMAGES = GOLDEN / "images"
TL_TUI = (sys.executable, "-m", "tl_tui")
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
"""Of the ten steps of the last start, as its journal has them."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of the run, which a test may write to."""
    return Path(shutil.copytree(GOLDEN / "run", tmp_path / "run"))


def output(*command: object, folder: Path, cwd: Path = ROOT) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=os.environ | {"XDG_STATE_HOME": str(folder), "TL_TUI_TMPDIR": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def printed_losses(script: Path) -> list[float]:
    """The loss of each step, as an exported script prints them."""
    printed = output(sys.executable, script, folder=script.parent, cwd=script.parent)
    return [float(loss) for loss in re.findall(r"^step \d+: loss (\S+)$", printed, re.MULTILINE)]


def check_losses(losses: list[float]) -> None:
    """Compare with the journal; other kernels round differently, and the difference grows."""
    assert losses[:4] == pytest.approx(LOSSES[:4], rel=1e-3)
    assert losses == pytest.approx(LOSSES, abs=0.1)


def test_show_reads_both_starts_of_the_run(run: Path, tmp_path: Path) -> None:
    shown = json.loads(output(*TL_TUI, "show", run, "--json", folder=tmp_path))
    first, last = shown["history"]
    assert [step for step, _ in first["losses"]] == [1]  # step 2 was refused
    assert [loss for _, loss in last["losses"]] == LOSSES
    best = shown["best"]
    assert (best["start"], best["step"], best["correct"], best["total"]) == (1, 2, 5, 8)
    text = output(*TL_TUI, "show", run, folder=tmp_path)
    assert "shufflenet_v2_x0_5" in text


def test_show_reads_a_cross_validation(tmp_path: Path) -> None:
    folds = shutil.copytree(GOLDEN / "folds", tmp_path / "folds")
    assert "shufflenet_v2_x0_5" in output(*TL_TUI, "show", folds, folder=tmp_path)


def test_resume_continues_after_the_last_step(run: Path, tmp_path: Path) -> None:
    printed = output(
        *TL_TUI, "resume", run, "--data", IMAGES, "--epochs", "6", "--json", folder=tmp_path
    )
    events = [json.loads(line) for line in printed.splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == [11, 12]
    trained = {layer["name"] for layer in steps[0]["layers"] if layer["reach"] == "updated"}
    assert trained == {"stage4.2", "stage4.3", "conv5.0", "fc"}


def test_an_export_takes_the_same_steps(run: Path, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    output(*TL_TUI, "export", run, "-o", script, "--data", IMAGES, folder=tmp_path)
    check_losses(printed_losses(script))


def test_the_script_that_was_exported_still_runs(tmp_path: Path) -> None:
    text = (GOLDEN / "train.py").read_text()
    script = tmp_path / "train.py"
    script.write_text(text.replace("/data/golden/images", str(IMAGES)))
    check_losses(printed_losses(script))


def test_a_saved_configuration_still_opens(tmp_path: Path) -> None:
    printed = output(
        *TL_TUI,
        *("train", "--config", GOLDEN / "job.toml", "--run-dir", tmp_path / "run", "--json"),
        folder=tmp_path,
    )
    events = [json.loads(line) for line in printed.splitlines()]
    opened = next(event for event in events if event["event"] == "opened")
    assert (opened["arch"], opened["batch_size"]) == ("shufflenet_v2_x0_5", 8)
    assert events[-1]["event"] == "ended"
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    recipe = config["recipe"]
    assert (recipe["optimizer"], recipe["schedule"], recipe["epochs"]) == ("adamw", "cosine", 6)
    assert config["plan"]["name"] == "gradual" and recipe["balance"]

"""Full disks: for the run directory, and for a checkpoint."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.training import checkpoint
from tests.support.driven_session import DrivenSession, draw_images
from tl_tui.protocol.commands import Train
from tl_tui.protocol.events import Refused
from tl_tui.protocol.training import CheckpointSaved, StepTaken, TrainEnded, Validated
from tl_tui.runs.journal_writer import check_run_dir


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB, on which one checkpoint of ResNet-18 fits but not two."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def session(tmp_path: Path, run: Path) -> DrivenSession:
    folder = tmp_path / "images"
    return DrivenSession(
        data=str(folder if folder.exists() else draw_images(folder)),
        weights="none",
        image_size=32,
        batch_size=8,
        strategy="feature-extraction",
        run_dir=str(run),
    )


def test_a_checkpoint_that_does_not_fit_keeps_the_previous_one(disk: Path, tmp_path: Path) -> None:
    driven = session(tmp_path, disk / "run")
    driven.do(Train, steps=2)
    first = [event for event in driven.all(CheckpointSaved) if event.name == "last"]
    assert not first[-1].failure
    driven.do(Train, steps=4)
    events = driven.all(CheckpointSaved)
    last = [event for event in events if event.name == "last"][-1]
    best_failed = [event for event in events if event.name == "best" and event.failure]
    assert bool(best_failed) == driven.last(Validated).best
    assert "No space left" in last.failure and "still exists" in last.failure
    assert driven.last(StepTaken).step == 4 and driven.last(TrainEnded).reason == "done"
    kept = checkpoint.read(disk / "run" / "checkpoints" / "last.safetensors")
    assert kept.about["step"] == 2
    assert not list((disk / "run" / "checkpoints").glob("*.part"))


def test_a_full_disk_is_reported_before_the_first_step(disk: Path, tmp_path: Path) -> None:
    with open(disk / "filler", "wb", buffering=0) as filler, pytest.raises(OSError):
        while True:
            filler.write(bytes(4096))
    driven = session(tmp_path, disk / "run")
    driven.do(Train, steps=1)
    sentence = driven.last(Refused).reason
    assert "No space left" in sentence and "name another folder" in sentence
    assert not driven.all(StepTaken)
    (disk / "filler").unlink()
    check_run_dir(disk / "run")  # nothing is left that would block the name

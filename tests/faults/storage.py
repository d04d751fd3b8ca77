"""Full disks, removed folders, files cut off at a random byte, clocks that jump."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator

from engine.training import checkpoint
from engine.training.checkpoint import CheckpointProblem
from tests.faults.fault_table import Place, Skipped, fault
from tests.faults.training import (
    checkpoints_are_whole,
    gone_on_to_the_end,
    journal_is_readable,
    losses,
    reference,
    resume,
    train,
)
from tl_tui.runs.run_reader import read_run


@fault("disk full under way (tmpfs)", full=10)
def disk_full(place: Place) -> None:
    disk = place.folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        raise Skipped("mounting a small disk needs root")
    try:
        run, filler = disk / "run", disk / "filler"
        with train(place, run) as training:
            training.read("checkpoint", 1 + place.random.randrange(2))
            with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
            code, said = training.end()
        failures = [line["failure"] for line in training.lines if line["event"] == "checkpoint"]
        failed = [failure for failure in failures if failure]
        taken = [line["step"] for line in training.lines if line["event"] == "step"]
        assert taken[-1] == 12, "it trains on"
        assert (code == 1 and "No space left" in failed[0]) or (code == 0 and not failed), said
        checkpoints_are_whole(run)
        journal_is_readable(run)
        filler.unlink()
        gone_on_to_the_end(place, run)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@fault("run directory removed under way", full=10)
def run_directory_removed(place: Place) -> None:
    run = place.folder / "run"
    with train(place, run) as training:
        training.read("step", 1 + place.random.randrange(8))
        shutil.rmtree(run, ignore_errors=True)
        code, said = training.end()
    taken = [line["step"] for line in training.lines if line["event"] == "step"]
    assert taken[-1] == 12, said
    told = [line for line in training.lines if line["event"] == "checkpoint" and line["failure"]]
    assert code == 0 and "was removed" in told[0]["failure"], said
    checkpoints_are_whole(run)
    assert losses(run) == reference(place), "the journal is put back whole"
    assert checkpoint.read(run / "checkpoints" / "last.safetensors").about["step"] == 12


@fault("images removed under way", full=10)
def images_removed(place: Place) -> None:
    run, images = place.folder / "run", place.folder / "images"
    shutil.copytree(place.images, images)
    files = sorted((images / "train").rglob("*.png"))
    gone = place.random.sample(files, place.random.choice([1, 5, len(files)]))
    with train(place, run, images=images) as training:
        training.read("step", 1 + place.random.randrange(4))
        for file in gone:
            file.unlink()
        code, said = training.end()
    skipped = [line for line in training.lines if line["event"] == "image_skipped"]
    if len(gone) == len(files):
        assert code != 0 and "cannot be read" in said + json.dumps(training.lines), said
    else:
        assert code == 0, said
    assert all("there is no such file" in line["reason"] for line in skipped)
    journal_is_readable(run)
    checkpoints_are_whole(run)


@fault("images replaced by garbage under way", full=10, like="images removed")
def images_replaced(place: Place) -> None:
    run, images = place.folder / "run", place.folder / "images"
    shutil.copytree(place.images, images)
    files = sorted(images.rglob("*.png"))
    with train(place, run, images=images) as training:
        training.read("step", 1)
        for file in place.random.sample(files, 6):
            whole = file.read_bytes()
            cut = whole[: place.random.randrange(len(whole))]
            file.write_bytes(place.random.choice([b"", cut, place.random.randbytes(4096)]))
        code, said = training.end()
    assert code == 0, said
    journal_is_readable(run)


@fault("journal torn at a random byte", full=20)
def journal_torn(place: Place) -> int:
    """After a power cut, what was written since the last sync may be missing, even half a line."""
    run = place.folder / "run"
    with train(place, run) as training:
        training.read("checkpoint", 4)
        training.process.terminate()
        training.end()
    journal = run / "journal.jsonl"
    synced = journal.read_bytes().rfind(b'"event":"checkpoint"')
    with open(journal, "rb+") as file:
        file.truncate(place.random.randrange(synced, journal.stat().st_size))
    with resume(place, run) as further:
        code, said = further.end()
    assert code == 0 or "has come to its end" in said, said
    assert losses(run)[-1] == reference(place)[-1]
    for line in journal.read_bytes().splitlines():
        with contextlib.suppress(ValueError):
            json.loads(line)
    assert read_run(run).torn <= 1
    return 1


@fault("checkpoint cut off at a random byte while it is written", full=200)
def checkpoint_cut_off(place: Place) -> int:
    """A power cut leaves a partial file of any length next to the previous checkpoint."""
    kept = place.images.parent / "reference" / "checkpoints" / "last.safetensors"
    reference(place)
    folder = place.folder / "checkpoints"
    folder.mkdir()
    last, part = folder / "last.safetensors", folder / "last.safetensors.part"
    shutil.copy(kept, last)
    whole = kept.read_bytes()
    part.write_bytes(whole[: place.random.randrange(len(whole))])
    before = checkpoint.read(last)
    try:
        checkpoint.read(part)
    except CheckpointProblem as problem:
        assert str(part) in str(problem)
    else:
        raise AssertionError("a part was taken for a whole")
    checkpoint.write(last, before.snapshot, _about(before.about))
    assert not part.exists() and checkpoint.read(last).about["step"] == 12
    return 1


def _about(about: dict) -> dict:
    return {k: v for k, v in about.items() if k not in ("format", "memory_formats")}


@fault("clock jumps, forwards and back", full=10)
def clock_jumps(place: Place) -> None:
    """The engine's wall clock jumps by up to a year each time it is read."""
    run, patch = place.folder / "run", place.folder / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(
        "import random, time\n"
        f"jump, real = random.Random({place.random.randrange(1000)}), time.time\n"
        "time.time = lambda: max(0.0, real() + jump.uniform(-3e7, 3e7))\n"
    )
    before = os.environ.get("PYTHONPATH", "")
    with environment(PYTHONPATH=f"{patch}{os.pathsep}{before}" if before else str(patch)):
        with train(place, run, fresh=True) as training:
            code, said = training.end()
    assert code == 0, said
    assert losses(run) == reference(place)


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables within a `with` block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

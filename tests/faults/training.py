"""Train a run with `tl-tui train`, and check it after a fault."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.training import checkpoint
from tests.faults.fault_table import Place, wait_until
from tests.support.command_line import start
from tests.support.fork_server import ForkedProcess
from tl_tui.runs.run_reader import read_run

STEPS = 12
"""The steps of a whole run: 24 images in batches of 8, for 4 epochs."""
SMALL = (
    *("--arch", "shufflenet_v2_x0_5", "--weights", "none", "--device", "cpu"),
    *("--image-size", "32", "--batch-size", "8", "--epochs", "4", "--lr-schedule", "cosine"),
    *("--checkpoint-every", "2"),
)


class Training:
    """A process of `tl-tui train --json` or `resume --json`, and the lines it has printed."""

    def __init__(self, place: Path | str, process: subprocess.Popen[str] | ForkedProcess) -> None:
        self.run = Path(place)
        self.process = process
        self.lines: list[dict] = []

    def read(self, event: str, count: int = 1) -> bool:
        """Read until an event has come `count` times. Return False if the output ends first."""
        assert self.process.stdout is not None
        while sum(line["event"] == event for line in self.lines) < count:
            line = self.process.stdout.readline()
            if not line:
                return False
            self.lines.append(json.loads(line))
        return True

    @property
    def engine(self) -> int | None:
        """The engine's process id, or None if it has ended."""
        for entry in Path("/proc").iterdir():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except (OSError, IndexError):
                continue
            if parent == str(self.process.pid):
                return int(entry.name)
        return None

    def end(self) -> tuple[int, str]:
        """Wait for the process to end. Return the exit code and its standard error."""
        out, err = self.process.communicate(timeout=600)
        self.lines += [json.loads(line) for line in out.splitlines() if line.strip()]
        return self.process.returncode, err


@contextmanager
def train(
    place: Place, run: Path, *options: str, images: Path | None = None, fresh: bool = False
) -> Iterator[Training]:
    """Start a run; in an interpreter of its own if `fresh`."""
    words = ("train", str(images or place.images), *SMALL, "--run-dir", str(run), *options)
    yield from _started(place, run, *words, fresh=fresh)


@contextmanager
def resume(place: Place, run: Path, *options: str) -> Iterator[Training]:
    """Resume a run."""
    yield from _started(place, run, "resume", str(run), *options)


def _started(place: Place, run: Path, *arguments: str, fresh: bool = False) -> Iterator[Training]:
    process = start(*arguments, "--json", env=place.environment, fresh=fresh)
    try:
        yield Training(run, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


# --- what must hold -----------------------------------------------------------------------------


def reference(place: Place) -> list[tuple[int, float]]:
    """Return the losses of a run without a fault, which is trained once."""
    kept = place.images.parent / "reference.json"
    if not kept.exists():
        run = place.images.parent / "reference"
        with train(place, run) as whole:
            code, said = whole.end()
        assert code == 0, said
        kept.write_text(json.dumps(losses(run)))
    return [(step, loss) for step, loss in json.loads(kept.read_text())]


def losses(run: Path) -> list[tuple[int, float]]:
    return read_run(run).starts[-1].losses


def checkpoints_are_whole(run: Path) -> None:
    """Read every checkpoint, and ignore partial files next to them."""
    for file in (run / "checkpoints").glob("*.safetensors"):
        checkpoint.read(file)


def journal_is_readable(run: Path) -> None:
    """Assert that at most one line was cut off for each time the run was started or resumed."""
    lives = 1 + sum('"event":"resumed"' in line for line in _lines(run))
    assert read_run(run).torn <= lives


def _lines(run: Path) -> list[str]:
    return (run / "journal.jsonl").read_text(errors="replace").splitlines()


def gone_on_to_the_end(place: Place, run: Path) -> None:
    """Resume the run to its end and compare its losses with those of a run without a fault."""
    checkpoints_are_whole(run)
    journal_is_readable(run)
    if (run / "checkpoints" / "last.safetensors").exists():
        with resume(place, run) as further:
            code, said = further.end()
        assert code == 0 or "has come to its end" in said, said
    else:  # nothing was saved yet: start again
        with train(place, run.with_name(f"{run.name}-anew")) as anew:
            code, said = anew.end()
        run = run.with_name(f"{run.name}-anew")
        assert code == 0, said
    assert losses(run) == reference(place)
    journal_is_readable(run)


def ends(pid: int) -> bool:
    """Wait for a process that is not a child of this one. Return whether it has ended."""

    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    return wait_until(gone)

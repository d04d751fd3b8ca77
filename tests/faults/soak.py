"""Type random keys into the app for a long time and watch the memory and open files.

python -m tests.faults.soak --steps 20000
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.fault_table import Place, at_least_one
from tests.faults.training import SMALL
from tests.support.command_line import open_terminal
from tests.support.driven_session import draw_images
from tests.support.pseudo_terminal import Terminal

SAMPLES = 20
"""How often memory and open files are measured."""
MEGABYTES, DESCRIPTORS = 32, 4
"""How much either process may grow between the first fifth and the end: the curve of all steps is
kept, and allocators keep what they have freed."""

ACTIONS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (30, ("t",)),
    (30, ("r",)),
    (10, ("up",)),
    (10, ("down",)),
    (6, ("space",)),
    (3, ("f",)),
    (3, ("1",)),
    (2, ("2",)),
    (2, ("4",)),
    (2, ("5",)),
    (4, ("u",)),
    (2, ("U",)),
    (3, ("left",)),
    (3, ("right",)),
    (2, ("pageup",)),
    (2, ("pagedown",)),
    (2, ("b", "b")),
    (1, ("a",)),
    (2, ("[", "]")),
    (2, (".",)),
    (2, ("c",)),
    (1, ("0",)),
    (2, ("e", "down", "escape")),
    (2, ("v", "escape")),
    (1, ("o", "escape")),
    (1, ("s", "escape")),
    (1, ("w", "escape")),
    (1, ("?", "escape")),
    (1, (":", "escape")),
    (1, ("/", "f", "c", "enter")),
    (2, ("escape",)),
)
"""Weights, and keys that are typed in a row; none of them leaves the app."""


@dataclass(frozen=True)
class Sample:
    steps: int
    app_mb: float
    engine_mb: float
    app_files: int
    engine_files: int

    @classmethod
    def of(cls, steps: int, app: int, engine: int) -> Sample:
        return cls(steps, _mb(app), _mb(engine), _files(app), _files(engine))

    def __str__(self) -> str:
        return (
            f"{self.steps:>7,} steps  app {self.app_mb:7.1f} MB, {self.app_files} files  "
            f"engine {self.engine_mb:7.1f} MB, {self.engine_files} files"
        )


def _mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


class Steps:
    """The number of steps in a journal, counted as it grows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read, self.count = 0, 0

    def look(self) -> int:
        for journal in self._folder.rglob("journal.jsonl"):
            with open(journal, "rb") as file:
                file.seek(self._read)
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read += len(whole)
            self.count += whole.count(b'{"event":"step",')
        return self.count


def soak(
    place: Place, steps: int, *, samples: int, say: Callable[[Sample], None], patience: float
) -> list[Sample]:
    """Type until so many steps were taken; the samples, of which none came after `patience` s
    without a step.

    Raises:
        AssertionError: no step was taken for so long, or the app or its engine ended.
    """
    words = (place.images, *SMALL[:-2])
    with open_terminal(*words, columns=100, rows=30, env=place.environment) as terminal:
        terminal.wait_for(r"fc +train")
        (engine,) = terminal.children()
        counted, found = Steps(place.folder / "state"), list[Sample]()
        weights, keys = zip(*ACTIONS, strict=True)
        last_step = time.monotonic()
        while counted.count < steps:
            before = counted.count
            (chosen,) = place.random.choices(keys, weights)
            _type(terminal, *chosen)
            if chosen == ("r",):
                _take_in(terminal, 2 * place.random.random())  # train for a while
            if counted.look() > before:
                last_step = time.monotonic()
            elif time.monotonic() - last_step > patience / 2:
                _type(terminal, "escape", "escape", "0", "4", "t")  # leave whatever is open
            assert time.monotonic() - last_step < patience, f"no step any more:\n{terminal.text}"
            assert terminal.process.poll() is None, terminal.text
            if counted.count >= (len(found) + 1) * steps / samples:
                found.append(Sample.of(counted.count, terminal.process.pid, engine))
                say(found[-1])
        _type(terminal, "escape", "escape", "ctrl+c")
        terminal.wait_for("Leave")
        terminal.press("ctrl+c")
        assert terminal.wait_exit() in (0, 130)
        assert terminal.restored
    place.leave()
    return found


def _type(terminal: Terminal, *keys: str) -> None:
    """Type keys one by one. A key right after Esc would be read as Alt and that key."""
    for key in keys:
        terminal.press(key)
        _take_in(terminal, 0.25 if key == "escape" else 0.03)


def _take_in(terminal: Terminal, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        terminal.read(left)
    if len(terminal.raw) > 1 << 20:
        del terminal.raw[: -(1 << 16)]  # keep this process from growing


def growth(samples: list[Sample]) -> list[str]:
    """Return a sentence for everything that has grown too much since the first fifth."""
    first, last = samples[len(samples) // 5], samples[-1]
    said = []
    for name in ("app", "engine"):
        more = getattr(last, f"{name}_mb") - getattr(first, f"{name}_mb")
        files = getattr(last, f"{name}_files") - getattr(first, f"{name}_files")
        if more > MEGABYTES:
            said.append(f"the {name} has grown by {more:.0f} MB")
        if files > DESCRIPTORS:
            said.append(f"the {name} has {files} more files open")
    return said


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--steps", type=at_least_one, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        images = draw_images(Path(folder) / "images")
        place = Place(Path(folder), images, random.Random(options.seed))

        def say(sample: Sample) -> None:
            print(sample, flush=True)

        samples = soak(place, options.steps, samples=SAMPLES, say=say, patience=300)
    said = growth(samples)
    print("; ".join(said) if said else "Neither process has grown.")
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main())

"""What a run directory tells: its configuration, its history, its checkpoints. Imports no torch.

Readable while the run goes on: the journal is read up to its last whole line. Of a step that was
taken again after a resume only the later line counts.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from tl_tui.common import json_codec
from tl_tui.common.errors import Problem
from tl_tui.common.host import this_host
from tl_tui.protocol.commands import ResumeRun
from tl_tui.protocol.config import RunConfig
from tl_tui.runs.journal_writer import CHECKPOINTS, CONFIG, ENGINE, FORMAT, JOURNAL, runs_directory

RunState = Literal["running", "done", "paused", "cut off"]
"""running: an engine writes it. done: it came to the end that was asked for. paused: it was left
before. cut off: its engine was killed, or the machine went down."""


FIRST_FORMAT = 2
"""Runs of earlier formats do not say what they were opened with."""


class RunProblem(Problem):
    """There is no such run, or it cannot be read; the text says why and what to do."""


# --- lines of the journal -----------------------------------------------------------------------


class StepLine(msgspec.Struct, frozen=True):
    start: int
    step: int
    loss: float | str
    """A text if it is not finite, as in all JSON here."""


class ValidatedLine(msgspec.Struct, frozen=True):
    start: int
    step: int
    correct: int
    total: int
    loss: float | str
    yardstick: bool
    epoch: int = 0
    best: bool = False


class StartOverLine(msgspec.Struct, frozen=True):
    start: int
    weights: str = ""


class RewindLine(msgspec.Struct, frozen=True):
    """A start over taken back, or a run that goes on from a checkpoint: where it stands then."""

    start: int
    step: int


class _EndedLine(msgspec.Struct, frozen=True):
    reason: str


_READ: dict[bytes, msgspec.json.Decoder[Any]] = {
    b"step": msgspec.json.Decoder(StepLine),
    b"validated": msgspec.json.Decoder(ValidatedLine),
    b"start_over": msgspec.json.Decoder(StartOverLine),
    b"start_over_undone": msgspec.json.Decoder(RewindLine),
    b"resumed": msgspec.json.Decoder(RewindLine),
    b"train_ended": msgspec.json.Decoder(_EndedLine),
}
"""By the event's name, which stands first in every line; other lines tell nothing of a history."""
_FIRST = b'{"event":"'


@dataclass
class StartHistory:
    """The numbers of one start, in the order of its steps."""

    start: int
    weights: str
    """The label of the weights it began from."""
    losses: list[tuple[int, float]] = field(default_factory=list)
    """(step, training loss of the batch)."""
    validations: list[ValidatedLine] = field(default_factory=list)

    def cut_after(self, step: int) -> None:
        """Forget what came after a step."""
        while self.losses and self.losses[-1][0] > step:
            self.losses.pop()
        while self.validations and self.validations[-1].step > step:
            self.validations.pop()


@dataclass
class Run:
    """A run as its directory has it."""

    path: Path
    config: dict[str, Any]
    """`config.json`."""
    state: RunState
    starts: list[StartHistory]
    """Oldest first; the last one is where it stands."""
    best: ValidatedLine | None
    """The best whole validation."""
    torn: int
    """Lines that cannot be read: a machine went down while they were written."""
    checkpoints: dict[str, Path]
    """By name: best, last, start-N."""
    bytes: int
    """Of all files; what has two names counts once."""
    changed: float
    """When the journal was written last, in seconds since 1970."""

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def steps(self) -> int:
        """Steps of the start where it stands."""
        losses = self.starts[-1].losses
        return losses[-1][0] if losses else 0


def find_run(given: str) -> Path:
    """The directory of a run that is named by its path, its name, or the beginning of that.

    Raises:
        RunProblem: there is none, or more than one.
    """
    path = Path(given)
    if (path / CONFIG).is_file():
        return path
    if path.is_dir():
        raise RunProblem(
            f"{given} holds no run of tl-tui ({CONFIG} is missing); `tl-tui runs` lists them."
        )
    folder = runs_directory()
    if os.sep not in given and given not in ("", ".", ".."):
        found = [run for run in _folders(folder) if run.name.startswith(given)]
        exact = [run for run in found if run.name == given]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if found:
            names = ", ".join(run.name for run in found[:3])
            raise RunProblem(
                f"{given} may be any of {len(found)} runs ({names}); name one of them."
            )
    raise RunProblem(
        f"There is no run {given}, neither here nor in {folder}; `tl-tui runs` lists them."
    )


def list_runs(folder: Path | None = None) -> Iterator[Run | RunProblem]:
    """All runs in a folder, newest first; of one that cannot be read, why.

    Args:
        folder: The folder of runs; where they go by default if None.
    """
    for path in _folders(folder or runs_directory()):
        try:
            yield read_run(path)
        except RunProblem as problem:
            yield problem


def _folders(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if (path / CONFIG).is_file()]
    except OSError:
        return []
    return sorted(found, key=lambda path: path.name, reverse=True)


def read_config(path: Path) -> dict[str, Any]:
    """The configuration of a run.

    Raises:
        RunProblem: it is missing, damaged, or of a later version.
    """
    file = path / CONFIG
    try:
        config = json_codec.loads(file.read_bytes())
    except OSError as error:
        raise RunProblem(f"{file} cannot be read ({error.strerror or error}).") from error
    except msgspec.DecodeError as error:
        raise RunProblem(f"{file} is damaged ({error}); the run cannot be used.") from error
    version = config.get("format") if isinstance(config, dict) else None
    if not isinstance(version, int):
        raise RunProblem(f"{file} is not of a run of tl-tui.")
    if version > FORMAT:
        raise RunProblem(
            f"{path} was written by a later tl-tui (format {version}, here {FORMAT}); "
            "install that version."
        )
    return config


def config_to_resume(command: ResumeRun) -> RunConfig:
    """What opens the session that a run began with.

    Raises:
        RunProblem: there is no such run, it has no such checkpoint, an engine has it open, or it
            is of a format that nothing can go on from.
    """
    path = find_run(command.run)
    about = read_config(path)
    if about["format"] < FIRST_FORMAT:
        raise RunProblem(
            f"{path} was written by an earlier tl-tui (format {about['format']}), which did not "
            "keep what a resume needs; its weights can begin a new run: "
            f"--weights {path / CHECKPOINTS / 'best.safetensors'}."
        )
    if is_written(path):
        raise RunProblem(f"{path} is open in another engine; end that one first.")
    checkpoint_path(path, command.checkpoint)
    config = msgspec.convert(about["config"], RunConfig)
    changes: dict[str, Any] = {"run_dir": str(path)}
    for name in ("data", "labels", "device", "probe_every"):
        if (given := getattr(command, name)) is not None:
            changes[name] = given
    return msgspec.structs.replace(config, **changes)


def original_config(run: str) -> RunConfig:
    """What a run was opened with, every choice pinned.

    Raises:
        RunProblem: there is no such run, or it is of a format that does not say.
    """
    return msgspec.convert(read_config(find_run(run))["config"], RunConfig)


def checkpoint_path(run: Path, name: str) -> Path:
    """A checkpoint of a run, by its name.

    Raises:
        RunProblem: the run has none of this name.
    """
    file = run / CHECKPOINTS / f"{name}.safetensors"
    if not file.exists():
        there = sorted(f.stem for f in file.parent.glob("*.safetensors"))
        which = f"it has {', '.join(there)}" if there else "it ended before it had saved any"
        raise RunProblem(f"{run} has no checkpoint {name}; {which}.")
    return file


def read_run(path: Path) -> Run:
    """Everything that lists, resumes and curves need of a run.

    Raises:
        RunProblem: it cannot be read.
    """
    config = read_config(path)
    starts = [StartHistory(0, str(config.get("weights", "")))]
    best: ValidatedLine | None = None
    torn, ended, closed = 0, "", False
    journal = path / JOURNAL
    try:
        with open(journal, "rb") as file:
            for line in file:
                event = line[len(_FIRST) : line.find(b'"', len(_FIRST))]
                closed = event == b"closed"
                decoder = _READ.get(event)
                if decoder is None:
                    torn += not line.startswith(_FIRST) or not line.endswith(b"\n")
                    continue
                try:
                    read = decoder.decode(line)
                except msgspec.DecodeError:
                    torn += 1
                    continue
                if isinstance(read, StepLine):
                    starts[-1].losses.append((read.step, float(read.loss)))
                    ended = ""
                elif isinstance(read, ValidatedLine):
                    if not read.yardstick:
                        starts[-1].validations.append(read)
                        best = read if read.best else best
                elif isinstance(read, StartOverLine):
                    _begin(starts, read.start, read.weights)
                elif isinstance(read, RewindLine):
                    best = _back(starts, read, best)
                else:
                    ended = read.reason
        changed = journal.stat().st_mtime
    except OSError as error:
        raise RunProblem(f"{journal} cannot be read ({error.strerror or error}).") from error
    state: RunState = "cut off"
    if is_written(path):
        state = "running"
    elif ended == "done":
        state = "done"
    elif closed:
        state = "paused"
    checkpoints, size = _files(path)
    return Run(path, config, state, starts, best, torn, checkpoints, size, changed)


def _begin(starts: list[StartHistory], start: int, weights: str) -> None:
    if not starts[-1].losses and starts[-1].start != 0:
        starts.pop()  # nothing came of it
    starts.append(StartHistory(start, weights))


def _back(
    starts: list[StartHistory], to: RewindLine, best: ValidatedLine | None
) -> ValidatedLine | None:
    """Go back to where another start stood; what came after is taken again, or was never."""
    while len(starts) > 1 and starts[-1].start != to.start:
        starts.pop()
    starts[-1].cut_after(to.step)
    if best is not None and best.start == to.start and best.step > to.step:
        whole = [each for one in starts for each in one.validations if each.best]
        return whole[-1] if whole else None
    return best


class OtherHost(msgspec.Struct, frozen=True):
    """The engine of another host that writes a run, by what it left in the directory."""

    host: str
    job: str = ""
    """The SLURM job that it ends with; empty outside of one."""


def written_elsewhere(path: Path) -> OtherHost | None:
    """Which other host's engine has a run open; None if none has, or nothing says so."""
    try:
        found = msgspec.json.decode((path / ENGINE).read_bytes(), type=OtherHost)
    except (OSError, msgspec.DecodeError):
        return None
    return found if found.host and found.host != this_host.host else None


def runs_elsewhere() -> list[tuple[Path, OtherHost]]:
    """The runs that engines of other hosts have open, the newest first."""
    found = ((path, written_elsewhere(path)) for path in _folders(runs_directory()))
    return [(path, where) for path, where in found if where is not None]


def is_written(path: Path) -> bool:
    """Whether an engine of this machine has the run open now."""
    try:
        with open(path / JOURNAL, "rb") as journal:
            fcntl.flock(journal, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _files(path: Path) -> tuple[dict[str, Path], int]:
    """The checkpoints by name, and the bytes of all files."""
    checkpoints: dict[str, Path] = {}
    sizes: dict[tuple[int, int], int] = {}
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            try:
                about = file.stat()
            except OSError:
                continue  # it went while we looked
            sizes[about.st_dev, about.st_ino] = about.st_size
            if Path(folder).name == CHECKPOINTS and file.suffix == ".safetensors":
                checkpoints[file.stem] = file
    return dict(sorted(checkpoints.items())), sum(sizes.values())

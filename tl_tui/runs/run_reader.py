"""Find, list and read run directories: configuration, history and checkpoints.

A run can be read while it is being written. Of a step that was taken again after a resume, only
the later line counts.
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
from tl_tui.common.host import this_host
from tl_tui.protocol.commands import ResumeRun
from tl_tui.protocol.config import RunConfig
from tl_tui.runs.journal_lines import (
    DECODERS,
    FoldLine,
    FoldsBeganLine,
    FoldsEndedLine,
    RewindLine,
    StartOverLine,
    TrainEndedLine,
    ValidatedLine,
)
from tl_tui.runs.journal_reader import RunProblem, StepLine, read_journal
from tl_tui.runs.journal_writer import CHECKPOINTS, CONFIG, ENGINE, FORMAT, JOURNAL, runs_directory
from tl_tui.settings.columns import FIRST_COLUMNS

RunState = Literal["running", "idle", "done", "paused", "cut off"]
"""running: an engine trains or cross-validates it. idle: an engine has it open and waits. done: it
reached its last step or fold. paused: it was closed before that. cut off: its engine was killed, or
the machine went down."""

FIRST_IMAGE_RULES = 1
"""The rules by which a run that does not record them found its images."""
FIRST_FORMAT = 2
"""The oldest format that can be resumed; older runs do not record how they were opened."""


# --- runs ---------------------------------------------------------------------------------------


@dataclass
class StartHistory:
    """The curves of one start, in the order of its steps."""

    start: int
    weights: str
    """The label of the weights that it began from."""
    losses: list[tuple[int, float]] = field(default_factory=list)
    """(step, training loss of the batch)."""
    validations: list[ValidatedLine] = field(default_factory=list)
    """Validations on all validation images."""

    def cut_after(self, step: int) -> None:
        """Remove the losses and validations after a step."""
        while self.losses and self.losses[-1][0] > step:
            self.losses.pop()
        while self.validations and self.validations[-1].step > step:
            self.validations.pop()


@dataclass
class FoldsHistory:
    """The last cross-validation of a run."""

    folds: int
    """The number of folds requested."""
    results: list[FoldLine] = field(default_factory=list)
    """The folds that are done."""
    reason: str = ""
    """Why it ended: `done`, `paused` or `failed`; empty if it did not."""

    @property
    def correct(self) -> int:
        """The number of correct predictions in all folds."""
        return sum(fold.correct for fold in self.results)

    @property
    def total(self) -> int:
        """The number of validated images; every image is in one fold."""
        return sum(fold.total for fold in self.results)

    @property
    def accuracies(self) -> list[float]:
        """The accuracy of each fold, 0 to 1."""
        return [fold.correct / fold.total for fold in self.results if fold.total]


@dataclass
class Run:
    """The content of a run directory."""

    path: Path
    config: dict[str, Any]
    """The content of `config.json`."""
    state: RunState
    starts: list[StartHistory]
    """Oldest first; the last one is the current start."""
    best: ValidatedLine | None
    """The best validation on all validation images."""
    folds: FoldsHistory | None
    """The last cross-validation; None if there was none."""
    torn: int
    """The number of journal lines that are incomplete because the machine went down."""
    checkpoints: dict[str, Path]
    """By name: best, last, start-N."""
    bytes: int
    """The size of all files; hard links are counted once."""
    changed: float
    """When the journal was last written, in seconds since 1970."""

    @property
    def name(self) -> str:
        """The name of the run directory."""
        return self.path.name

    @property
    def steps(self) -> int:
        """The number of steps taken since the run last started over."""
        losses = self.starts[-1].losses
        return losses[-1][0] if losses else 0


def find_run(given: str) -> Path:
    """Return the directory of a run.

    Args:
        given: The run's path, its name, or the beginning of its name.

    Raises:
        RunProblem: There is no such run, or more than one.
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
        matching = [run for run in _run_folders(folder) if run.name.startswith(given)]
        exact = [run for run in matching if run.name == given]
        if len(exact or matching) == 1:
            return (exact or matching)[0]
        if matching:
            names = ", ".join(run.name for run in matching[:3])
            raise RunProblem(
                f"{given} may be any of {len(matching)} runs ({names}); name one of them."
            )
    raise RunProblem(
        f"There is no run {given}, neither here nor in {folder}; `tl-tui runs` lists them."
    )


def list_runs(folder: Path | None = None) -> Iterator[Run | RunProblem]:
    """Return all runs in a folder, newest first; for one that cannot be read, the problem.

    Args:
        folder: The folder of runs; None is the default folder.
    """
    for path in _run_folders(folder or runs_directory()):
        try:
            yield read_run(path)
        except RunProblem as problem:
            yield problem


def _run_folders(folder: Path) -> list[Path]:
    try:
        runs = [path for path in folder.iterdir() if (path / CONFIG).is_file()]
    except OSError:
        return []
    return sorted(runs, key=lambda path: path.name, reverse=True)


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of a run's `config.json`.

    Raises:
        RunProblem: It is missing or damaged, or was written by a later version.
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
        raise RunProblem(f"{file} is not the configuration of a tl-tui run.")
    if version > FORMAT:
        raise RunProblem(
            f"{path} was written by a later tl-tui (format {version}, here {FORMAT}); "
            "install that version."
        )
    if isinstance(config.get("config"), dict):
        config["config"].setdefault("image_rules", FIRST_IMAGE_RULES)
        if config["config"].get("labels"):
            config["config"].setdefault("columns", FIRST_COLUMNS)
    return config


def config_to_resume(command: ResumeRun) -> RunConfig:
    """Return the configuration that resumes a run.

    Raises:
        RunProblem: There is no such run or checkpoint, an engine has the run open, or its format is
            too old to resume.
    """
    path = find_run(command.run)
    stored = read_config(path)
    if stored["format"] < FIRST_FORMAT:
        files = (path / CHECKPOINTS / f"{name}.safetensors" for name in ("best", "last"))
        begin = next((f"; a new run can begin with --weights {f}" for f in files if f.exists()), "")
        raise RunProblem(
            f"{path} was written by an earlier tl-tui (format {stored['format']}), which did not "
            f"keep what a resume needs{begin}."
        )
    if is_written(path):
        raise RunProblem(f"{path} is open in another engine; end that one first.")
    checkpoint_path(path, command.checkpoint)
    config = msgspec.convert(stored["config"], RunConfig)
    changes: dict[str, Any] = {"run_dir": str(path)}
    for name in ("data", "labels", "columns", "device", "probe_every"):
        if (value := getattr(command, name)) is not None:
            changes[name] = value
    return msgspec.structs.replace(config, **changes)


def original_config(run: str) -> RunConfig:
    """Return the configuration that a run was opened with, defaults filled in.

    Raises:
        RunProblem: There is no such run.
    """
    return msgspec.convert(read_config(find_run(run))["config"], RunConfig)


def checkpoint_path(run: Path, name: str) -> Path:
    """Return the path of a run's checkpoint.

    Raises:
        RunProblem: The run has no checkpoint of this name.
    """
    file = run / CHECKPOINTS / f"{name}.safetensors"
    if not file.exists():
        names = sorted(f.stem for f in file.parent.glob("*.safetensors"))
        which = f"it has {', '.join(names)}" if names else "it ended before it had saved any"
        raise RunProblem(f"{run} has no checkpoint {name}; {which}.")
    return file


def read_run(path: Path) -> Run:
    """Return the content of a run directory.

    Raises:
        RunProblem: It cannot be read.
    """
    config = read_config(path)
    starts = [StartHistory(0, str(config.get("weights", "")))]
    best: ValidatedLine | None = None
    folds: FoldsHistory | None = None
    torn, end_reason, last_event, active = 0, "", b"", False
    for event, line, is_torn in read_journal(path, DECODERS):
        torn += is_torn
        last_event = event
        active = _is_active(event, before=active)
        match line:
            case StepLine():
                starts[-1].losses.append((line.step, float(line.loss)))
                end_reason = ""
            case ValidatedLine(yardstick=False):
                starts[-1].validations.append(line)
                best = line if line.best else best
            case StartOverLine():
                _begin(starts, line.start, line.weights)
            case RewindLine():
                best = _rewind(starts, line, best)
            case TrainEndedLine():
                end_reason = line.reason
            case FoldsBeganLine():
                folds = FoldsHistory(line.folds)
            case FoldLine():
                if folds is None or line.fold <= len(folds.results):
                    folds = FoldsHistory(line.folds)  # before 0.2.0 its beginning was not recorded
                folds.results.append(line)
            case FoldsEndedLine():
                folds = folds or FoldsHistory(line.folds)
                folds.reason = line.reason
                if not any(start.losses for start in starts):
                    end_reason = line.reason  # the run is nothing but this cross-validation
    try:
        changed = (path / JOURNAL).stat().st_mtime
    except OSError as error:
        raise RunProblem(f"{path} cannot be read ({error.strerror or error}).") from error
    state = _state(path, end_reason, active=active, closed=last_event == b"closed")
    checkpoints, size = _files(path)
    return Run(path, config, state, starts, best, folds, torn, checkpoints, size, changed)


def _is_active(event: bytes, *, before: bool) -> bool:
    """Return whether the engine trains or cross-validates after a line of the journal."""
    if event in (b"train", b"folds_began", b"fold"):
        return True
    return before and event not in (b"train_ended", b"folds", b"resumed", b"closed")


def _state(path: Path, end_reason: str, *, active: bool, closed: bool) -> RunState:
    if is_written(path):
        return "running" if active else "idle"
    if end_reason == "done":
        return "done"
    return "paused" if closed else "cut off"


def _begin(starts: list[StartHistory], start: int, weights: str) -> None:
    if not starts[-1].losses and starts[-1].start != 0:
        starts.pop()  # no step was taken in it
    starts.append(StartHistory(start, weights))


def _rewind(
    starts: list[StartHistory], line: RewindLine, best: ValidatedLine | None
) -> ValidatedLine | None:
    """Remove everything after a step of an earlier start; return the best validation left."""
    while len(starts) > 1 and starts[-1].start != line.start:
        starts.pop()
    starts[-1].cut_after(line.step)
    if best is not None and best.start == line.start and best.step > line.step:
        remaining = [each for start in starts for each in start.validations if each.best]
        return remaining[-1] if remaining else None
    return best


# --- engines that write them --------------------------------------------------------------------


class OtherHost(msgspec.Struct, frozen=True):
    """The host of the engine that has a run open."""

    host: str
    job: str = ""
    """The SLURM job that the engine runs in; empty outside of a job."""


def written_elsewhere(path: Path) -> OtherHost | None:
    """Return the other host whose engine has a run open; None if there is none."""
    try:
        writer = msgspec.json.decode((path / ENGINE).read_bytes(), type=OtherHost)
    except (OSError, msgspec.DecodeError):
        return None
    return writer if writer.host and writer.host != this_host.host else None


def runs_elsewhere() -> list[tuple[Path, OtherHost]]:
    """Return the runs that engines on other hosts have open, newest first."""
    runs = ((path, written_elsewhere(path)) for path in _run_folders(runs_directory()))
    return [(path, host) for path, host in runs if host is not None]


def is_written(path: Path) -> bool:
    """Return whether an engine on this machine has the run open."""
    try:
        with open(path / JOURNAL, "rb") as journal:
            fcntl.flock(journal, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _files(path: Path) -> tuple[dict[str, Path], int]:
    """Return the checkpoints by name, and the total size of all files in bytes."""
    checkpoints: dict[str, Path] = {}
    sizes: dict[tuple[int, int], int] = {}
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            try:
                status = file.stat()
            except OSError:
                continue  # removed in the meantime
            sizes[status.st_dev, status.st_ino] = status.st_size
            if Path(folder).name == CHECKPOINTS and file.suffix == ".safetensors":
                checkpoints[file.stem] = file
    return dict(sorted(checkpoints.items())), sum(sizes.values())

"""Replay a run's journal: the settings that each step of its last start was taken with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tl_tui.protocol.config import Recipe
from tl_tui.protocol.layers import NormMode
from tl_tui.protocol.session import Cycle
from tl_tui.runs.journal_reader import RunProblem, StepLine, read_journal

# --- lines of the journal -----------------------------------------------------------------------


class _MaskLine(msgspec.Struct, frozen=True):
    trainable: list[str]


class _RecipeLine(Recipe, frozen=True, kw_only=True):
    rates: dict[str, float]


class _NormModeLine(msgspec.Struct, frozen=True):
    modules: list[str]
    mode: NormMode


class _StartOverLine(msgspec.Struct, frozen=True):
    start: int
    weights: str
    cycle: Cycle


class _StartOverUndoneLine(msgspec.Struct, frozen=True):
    start: int
    step: int
    cycle: Cycle


class _CheckpointLine(msgspec.Struct, frozen=True):
    name: str
    failure: str = ""


class _ResumedLine(msgspec.Struct, frozen=True):
    start: int
    step: int
    checkpoint: str


class _LayerRestoredLine(msgspec.Struct, frozen=True):
    after_step: int
    modules: list[str]
    undone: bool


class _ImageSkippedLine(msgspec.Struct, frozen=True):
    path: str


_DECODERS: dict[bytes, msgspec.json.Decoder[Any]] = {
    b"step": msgspec.json.Decoder(StepLine),
    b"mask": msgspec.json.Decoder(_MaskLine),
    b"recipe": msgspec.json.Decoder(_RecipeLine),
    b"cycle": msgspec.json.Decoder(Cycle),
    b"norm_mode": msgspec.json.Decoder(_NormModeLine),
    b"start_over": msgspec.json.Decoder(_StartOverLine),
    b"start_over_undone": msgspec.json.Decoder(_StartOverUndoneLine),
    b"checkpoint": msgspec.json.Decoder(_CheckpointLine),
    b"resumed": msgspec.json.Decoder(_ResumedLine),
    b"layer_restored": msgspec.json.Decoder(_LayerRestoredLine),
    b"image_skipped": msgspec.json.Decoder(_ImageSkippedLine),
}


# --- the history --------------------------------------------------------------------------------


@dataclass(frozen=True)
class StepSettings:
    """The settings of a step."""

    trainable: tuple[str, ...]
    """Names of the trainable layers and modules, as `freezing.select` takes them."""
    recipe: Recipe
    rates: tuple[tuple[str, float], ...] | None
    """Base learning rate of each row by name; None if they follow from the recipe."""
    norm_modes: tuple[tuple[str, NormMode], ...]
    """Modes of the BatchNorms that the user has set, by module."""
    cycle: Cycle


@dataclass
class Start:
    """One start: its losses, and the settings of its steps."""

    number: int
    weights: str
    """The label of the weights that it began from."""
    losses: list[tuple[int, float]] = field(default_factory=list)
    """(step, training loss)."""
    phases: list[tuple[int, StepSettings]] = field(default_factory=list)
    """(first step, the settings from this step on)."""
    restored: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    """(step, the modules that were restored after it to the weights of the start)."""

    @property
    def steps(self) -> int:
        """The number of steps."""
        return self.losses[-1][0] if self.losses else 0

    def add_step(self, step: int, loss: float, settings: StepSettings) -> None:
        """Add a step that was taken."""
        self.losses.append((step, loss))
        if not self.phases or self.phases[-1][1] != settings:
            self.phases.append((step, settings))

    def cut_after(self, step: int) -> None:
        """Remove everything after a step."""
        while self.losses and self.losses[-1][0] > step:
            self.losses.pop()
        self.phases = [phase for phase in self.phases if phase[0] <= step]
        self.restored = [entry for entry in self.restored if entry[0] <= step]


@dataclass
class History:
    """The last start of a run in which a step was taken."""

    start: Start
    starts: int
    """The number of starts in which a step was taken."""
    skipped: frozenset[str]
    """Images that could not be read, as the journal names them."""


class _Replay:
    """Replays the lines of a journal and holds the settings of the next step."""

    def __init__(self, config: dict[str, Any], batches_per_epoch: int) -> None:
        self.recipe = msgspec.convert(config["recipe"], Recipe)
        self.mask: tuple[str, ...] = ()
        self.rates: tuple[tuple[str, float], ...] | None = None
        self.modes: dict[str, NormMode] = {}
        plan = config.get("plan")
        steps = config["config"].get("steps") or self.recipe.epochs * batches_per_epoch
        self.cycle = Cycle(after_step=0, steps=plan["phases"][0]["steps"] if plan else steps)
        self.starts = [Start(0, config["weights"])]
        self.skipped: set[str] = set()
        self._saved: dict[str, tuple[StepSettings, list[tuple[int, tuple[str, ...]]]]] = {}
        """The settings and restored layers of each checkpoint, by name."""

    @property
    def settings(self) -> StepSettings:
        """The settings of the next step."""
        modes = tuple(sorted(self.modes.items()))
        return StepSettings(self.mask, self.recipe, self.rates, modes, self.cycle)

    def read(self, line: Any) -> None:
        """Apply a decoded line."""
        current = self.starts[-1]
        match line:
            case StepLine():
                current.add_step(line.step, float(line.loss), self.settings)
            case _MaskLine():
                self.mask = tuple(line.trainable)
            case _RecipeLine():
                fields = {name: getattr(line, name) for name in Recipe.__struct_fields__}
                self.recipe, self.rates = Recipe(**fields), tuple(line.rates.items())
            case Cycle():
                self.cycle = line
            case _NormModeLine():
                for name in line.modules:
                    self.modes.pop(name, None)
                    if line.mode != "auto":
                        self.modes[name] = line.mode
            case _StartOverLine():
                self.starts.append(Start(line.start, line.weights))
                self.mask, self.cycle = (), line.cycle
            case _StartOverUndoneLine():
                self._rewind(line.start, line.step)
                self.cycle = line.cycle
            case _CheckpointLine(failure=""):
                self._saved[line.name] = self.settings, list(current.restored)
            case _ResumedLine():
                self._rewind(line.start, line.step)
                if line.checkpoint in self._saved:
                    settings, restored = self._saved[line.checkpoint]
                    self._restore(settings)
                    self.starts[-1].restored = list(restored)
            case _LayerRestoredLine(undone=False):
                current.restored.append((line.after_step, tuple(line.modules)))
            case _LayerRestoredLine() if current.restored:
                current.restored.pop()
            case _ImageSkippedLine():
                self.skipped.add(line.path)

    def _rewind(self, start: int, step: int) -> None:
        """Remove everything after a step of an earlier start."""
        while len(self.starts) > 1 and self.starts[-1].number != start:
            self.starts.pop()
        self.starts[-1].cut_after(step)
        phases = self.starts[-1].phases
        self.mask = phases[-1][1].trainable if phases else ()

    def _restore(self, settings: StepSettings) -> None:
        self.recipe, self.rates = settings.recipe, settings.rates
        self.modes, self.cycle = dict(settings.norm_modes), settings.cycle


def read_history(run: Path, config: dict[str, Any], batches_per_epoch: int) -> History:
    """Return what the last start of a run did.

    Args:
        run: The run directory.
        config: The result of `run_reader.read_config`.
        batches_per_epoch: The number of steps in an epoch.

    Raises:
        RunProblem: The journal cannot be read, or no step was taken.
    """
    replay = _Replay(config, batches_per_epoch)
    for line in read_journal(run, _DECODERS):
        if line.content is not None:
            replay.read(line.content)
    last = replay.starts[-1]
    while not last.losses and len(replay.starts) > 1:
        replay.starts.pop()  # no step was taken in it
        last = replay.starts[-1]
    if not last.losses:
        raise RunProblem(f"{run} holds no train step, so there is nothing to export.")
    trained = sum(bool(start.losses) for start in replay.starts)
    return History(last, trained, frozenset(replay.skipped))

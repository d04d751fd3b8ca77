"""What the last start of a run trained with, step by step, from its journal. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tl_tui.protocol.config import Recipe
from tl_tui.protocol.layers import NormMode
from tl_tui.protocol.session import Cycle
from tl_tui.runs.journal_writer import JOURNAL
from tl_tui.runs.run_reader import RunProblem

# --- lines of the journal -----------------------------------------------------------------------


class _Line(msgspec.Struct, tag_field="event", frozen=True):
    """A line that a history is made of; the others are passed over."""


class _Step(_Line, tag="step", frozen=True):
    start: int
    step: int
    loss: float | str


class _Mask(_Line, tag="mask", frozen=True):
    trainable: list[str]


class _Recipe(Recipe, tag_field="event", tag="recipe", frozen=True, kw_only=True):
    rates: dict[str, float]


class _CycleLine(_Line, tag="cycle", frozen=True):
    after_step: int
    steps: int


class _NormMode(_Line, tag="norm_mode", frozen=True):
    modules: list[str]
    mode: NormMode


class _StartOver(_Line, tag="start_over", frozen=True):
    start: int
    weights: str
    cycle: Cycle


class _StartOverUndone(_Line, tag="start_over_undone", frozen=True):
    start: int
    step: int
    cycle: Cycle


class _Saved(_Line, tag="checkpoint", frozen=True):
    name: str
    failure: str = ""


class _Resumed(_Line, tag="resumed", frozen=True):
    start: int
    step: int
    checkpoint: str


class _Returned(_Line, tag="layer_restored", frozen=True):
    after_step: int
    modules: list[str]
    undone: bool


class _Skipped(_Line, tag="image_skipped", frozen=True):
    path: str


_LINES = (
    _Step
    | _Mask
    | _Recipe
    | _CycleLine
    | _NormMode
    | _StartOver
    | _StartOverUndone
    | _Saved
    | _Resumed
    | _Returned
    | _Skipped
)
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_LINES)
_NAMES = frozenset(kind.__struct_config__.tag for kind in _LINES.__args__)
_FIRST = b'{"event":"'


# --- the history --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """What a step is taken with."""

    trainable: tuple[str, ...]
    """Layers and modules, as `freezing.select` takes them."""
    recipe: Recipe
    rates: tuple[tuple[str, float], ...] | None
    """Base rates by row; None: as the recipe has them."""
    norm_modes: tuple[tuple[str, NormMode], ...]
    """BatchNorms whose mode was switched by hand, by module."""
    cycle: Cycle


@dataclass
class Start:
    """One start: what its steps were taken with, and what they brought."""

    number: int
    weights: str
    """The label of what it began from."""
    losses: list[tuple[int, float]] = field(default_factory=list)
    """(step, training loss)."""
    phases: list[tuple[int, Setting]] = field(default_factory=list)
    """(first step, what it and those after it were taken with)."""
    returned: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    """(after which step, which modules) were put back to the weights of the start."""

    @property
    def steps(self) -> int:
        return self.losses[-1][0] if self.losses else 0

    def took(self, step: int, loss: float, setting: Setting) -> None:
        self.losses.append((step, loss))
        if not self.phases or self.phases[-1][1] != setting:
            self.phases.append((step, setting))

    def cut_after(self, step: int) -> None:
        while self.losses and self.losses[-1][0] > step:
            self.losses.pop()
        self.phases = [phase for phase in self.phases if phase[0] <= step]
        self.returned = [one for one in self.returned if one[0] <= step]


@dataclass
class History:
    """The last start of a run in which a step was taken, and how many such starts it had."""

    start: Start
    starts: int
    skipped: frozenset[str]
    """Images that could not be read, as the journal names them."""


class _Replay:
    """Goes through the lines; holds what the coming step would be taken with."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.recipe = msgspec.convert(config["recipe"], Recipe)
        self.mask: tuple[str, ...] = ()
        self.rates: tuple[tuple[str, float], ...] | None = None
        self.modes: dict[str, NormMode] = {}
        plan, asked = config.get("plan"), config["config"].get("steps")
        batches = config["batches_per_epoch"]
        horizon = asked or self.recipe.epochs * batches
        self.cycle = Cycle(after_step=0, steps=plan["phases"][0]["steps"] if plan else horizon)
        self.starts = [Start(0, config["weights"])]
        self.skipped: set[str] = set()
        self._saved: dict[str, tuple[Setting, list[tuple[int, tuple[str, ...]]]]] = {}

    @property
    def setting(self) -> Setting:
        modes = tuple(sorted(self.modes.items()))
        return Setting(self.mask, self.recipe, self.rates, modes, self.cycle)

    def read(self, line: Any) -> None:
        now = self.starts[-1]
        match line:
            case _Step():
                now.took(line.step, float(line.loss), self.setting)
            case _Mask():
                self.mask = tuple(line.trainable)
            case _Recipe():
                fields = {name: getattr(line, name) for name in Recipe.__struct_fields__}
                self.recipe, self.rates = Recipe(**fields), tuple(line.rates.items())
            case _CycleLine():
                self.cycle = Cycle(after_step=line.after_step, steps=line.steps)
            case _NormMode():
                for name in line.modules:
                    self.modes.pop(name, None)
                    if line.mode != "auto":
                        self.modes[name] = line.mode
            case _StartOver():
                self.starts.append(Start(line.start, line.weights))
                self.mask, self.cycle = (), line.cycle
            case _StartOverUndone():
                self._back(line.start, line.step)
                self.cycle = line.cycle
            case _Saved(failure=""):
                self._saved[line.name] = self.setting, list(now.returned)
            case _Resumed():
                self._back(line.start, line.step)
                if line.checkpoint in self._saved:
                    setting, returned = self._saved[line.checkpoint]
                    self._take(setting)
                    self.starts[-1].returned = list(returned)
            case _Returned(undone=False):
                now.returned.append((line.after_step, tuple(line.modules)))
            case _Returned() if now.returned:
                now.returned.pop()
            case _Skipped():
                self.skipped.add(line.path)

    def _back(self, start: int, step: int) -> None:
        while len(self.starts) > 1 and self.starts[-1].number != start:
            self.starts.pop()
        self.starts[-1].cut_after(step)
        phases = self.starts[-1].phases
        self.mask = phases[-1][1].trainable if phases else ()

    def _take(self, setting: Setting) -> None:
        self.recipe, self.rates = setting.recipe, setting.rates
        self.modes, self.cycle = dict(setting.norm_modes), setting.cycle


def read_history(run: Path, config: dict[str, Any], batches_per_epoch: int) -> History:
    """What the last start of a run did.

    Args:
        run: Its directory.
        config: What `run_folder.read_config` said of it.
        batches_per_epoch: Steps an epoch has.

    Raises:
        RunProblem: its journal cannot be read, or not one step was taken.
    """
    replay = _Replay({**config, "batches_per_epoch": batches_per_epoch})
    journal = run / JOURNAL
    try:
        with open(journal, "rb") as file:
            for line in file:
                name = line[len(_FIRST) : line.find(b'"', len(_FIRST))].decode(errors="replace")
                if line.startswith(_FIRST) and name in _NAMES:
                    try:
                        replay.read(_DECODER.decode(line))
                    except msgspec.DecodeError:
                        continue  # torn, while a machine went down
    except OSError as error:
        raise RunProblem(f"{journal} cannot be read ({error.strerror or error}).") from error
    last = replay.starts[-1]
    while not last.losses and len(replay.starts) > 1:
        replay.starts.pop()  # nothing came of it
        last = replay.starts[-1]
    if not last.losses:
        raise RunProblem(f"{run} holds no train step, so there is nothing to export.")
    trained = sum(bool(start.losses) for start in replay.starts)
    return History(last, trained, frozenset(replay.skipped))

"""What of all that a script could have in it this run's needs, seen from its facts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.export.script.facts import Phase, RunFacts, has_schedule

Lines = list[str]


class Needs:
    """Answers for every section of a script, and gathers what they import."""

    def __init__(self, facts: RunFacts) -> None:
        self.facts, self.model = facts, facts.model
        self.phases = phases = facts.model.phases
        self.recipe = phases[-1].recipe
        self.imports = {"import torch", "import torch.nn.functional as F", "from torch import nn"}
        self.multi = len(phases) > 1
        self.scheduled = any(has_schedule(phase.recipe) for phase in phases)
        self.augmented = any(phase.recipe.augmentation != "none" for phase in phases)
        self.bf16 = any(phase.recipe.precision == "bf16" for phase in phases)
        self.modes = any(phase.modes for phase in phases)
        self.may_rest = any(not phase.trains for phase in phases)
        """In some steps nothing trains."""
        self.calibrates = facts.random_weights and facts.model.keeps_statistics
        one = None if self.multi or phases[0].modes else phases[0].trains
        self.head_only = one is not None and list(one) == [self.model.head]
        self.whole = (
            one is not None
            and set(one) == set(self.model.everything)
            and len(set(one.values())) == 1
        )
        self.named = not (self.head_only or self.whole)
        """What trains has to be told by names."""
        self.returned = {
            after: names for after, names in self.model.returned.items() if 0 < after < facts.steps
        }
        self.columns = self._columns()

    def _columns(self) -> dict[str, Callable[[Phase], Any]]:
        """The columns of the table of phases: what they train, and what differs between them."""
        first = self.phases[0]

        def differs(value: Callable[[Phase], Any]) -> bool:
            return any(value(phase) != value(first) for phase in self.phases)

        columns: dict[str, Callable[[Phase], Any]] = {}
        if self.multi:
            columns["trains"] = lambda phase: groups(phase.trains)
        if self.modes and self.multi:
            columns["modes"] = lambda phase: phase.modes

        def cycle(phase: Phase) -> tuple[int, int]:
            return phase.cycle.after_step, phase.cycle.steps

        if self.scheduled and self.multi and (differs(cycle) or first.cycle.after_step):
            columns["cycle"] = cycle
        others: dict[str, Callable[[Phase], Any]] = {
            "optimizer": lambda phase: phase.recipe.optimizer,
            "weight_decay": lambda phase: phase.recipe.weight_decay,
            "augment": lambda phase: phase.recipe.augmentation != "none",
            "bf16": lambda phase: phase.recipe.precision == "bf16",
        }
        if self.uses("sgd"):
            others["momentum"] = lambda phase: phase.recipe.momentum
        return columns | {name: value for name, value in others.items() if differs(value)}

    def uses(self, optimizer: str) -> bool:
        return any(phase.recipe.optimizer == optimizer for phase in self.phases)


def groups(trains: dict[str, float]) -> list[tuple[str, float]]:
    """Parts of the same rate together: [("conv1 bn1", 0.001), ("fc", 0.01)]."""
    by_rate: dict[float, list[str]] = {}
    for name, rate in trains.items():
        by_rate.setdefault(rate, []).append(name)
    return [(" ".join(names), rate) for rate, names in by_rate.items()]


def attribute(path: str) -> str:
    """`model.classifier[1]` for the path `classifier.1`."""
    parts = (f"[{part}]" if part.isdigit() else f".{part}" for part in path.split("."))
    return "model" + "".join(parts)

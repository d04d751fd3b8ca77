"""The features that the script of a run needs, derived from the facts of the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.export.script.facts import Phase, RunFacts, has_schedule
from engine.training.optimizer import is_fused

Lines = list[str]


class Needs:
    """The features of a script, and the imports collected while its sections are written."""

    def __init__(self, facts: RunFacts) -> None:
        self.facts, self.model = facts, facts.model
        self.phases = phases = facts.model.phases
        self.recipe = phases[-1].recipe
        self.imports = {"import torch", "import torch.nn.functional as F", "from torch import nn"}
        self.multi_phase = len(phases) > 1
        self.scheduled = any(has_schedule(phase.recipe) for phase in phases)
        self.augmented = any(phase.recipe.augmentation != "none" for phase in phases)
        self.bf16 = any(phase.recipe.precision == "bf16" for phase in phases)
        self.has_modes = any(phase.modes for phase in phases)
        self.has_frozen_phase = any(not phase.trainable for phase in phases)
        """Whether nothing is trainable in some steps."""
        self.calibrates = facts.random_weights and facts.model.has_batchnorm
        single = None if self.multi_phase or phases[0].modes else phases[0].trainable
        self.head_only = single is not None and list(single) == [self.model.head]
        self.full = (
            single is not None
            and set(single) == set(self.model.all_names)
            and len(set(single.values())) == 1
        )
        """Whether the whole model is trained at one rate."""
        self.by_name = not (self.head_only or self.full)
        """Whether the trainable modules have to be listed by name."""
        self.restored = {
            after: names for after, names in self.model.restored.items() if 0 < after < facts.steps
        }
        self.columns = self._columns()

    def _columns(self) -> dict[str, Callable[[Phase], Any]]:
        """Return the columns of the table of phases: the modules, and the settings that differ."""
        first = self.phases[0]

        def differs(value: Callable[[Phase], Any]) -> bool:
            return any(value(phase) != value(first) for phase in self.phases)

        columns: dict[str, Callable[[Phase], Any]] = {}
        if self.multi_phase:
            columns["trainable"] = lambda phase: group_by_rate(phase.trainable)
        if self.has_modes and self.multi_phase:
            columns["modes"] = lambda phase: phase.modes

        def cycle(phase: Phase) -> tuple[int, int]:
            return phase.cycle.after_step, phase.cycle.steps

        if self.scheduled and self.multi_phase and (differs(cycle) or first.cycle.after_step):
            columns["schedule"] = cycle
        others: dict[str, Callable[[Phase], Any]] = {
            "optimizer": lambda phase: phase.recipe.optimizer,
            "weight_decay": lambda phase: phase.recipe.weight_decay,
            "augment": lambda phase: phase.recipe.augmentation != "none",
            "bf16": lambda phase: phase.recipe.precision == "bf16",
        }
        if self.uses("sgd"):
            others["momentum"] = lambda phase: phase.recipe.momentum
        return columns | {name: value for name, value in others.items() if differs(value)}

    def fused(self, optimizer: str) -> bool:
        """Return whether the run used the fused kernel of an optimizer."""
        return is_fused(optimizer, self.facts.device)

    def uses(self, optimizer: str) -> bool:
        """Return whether a phase uses an optimizer, `sgd` or `adamw`."""
        return any(phase.recipe.optimizer == optimizer for phase in self.phases)


def group_by_rate(trainable: dict[str, float]) -> list[tuple[str, float]]:
    """Group names by their rate, such as [("conv1 bn1", 0.001), ("fc", 0.01)]."""
    by_rate: dict[float, list[str]] = {}
    for name, rate in trainable.items():
        by_rate.setdefault(rate, []).append(name)
    return [(" ".join(names), rate) for rate, names in by_rate.items()]


def attribute(path: str) -> str:
    """Return the expression for a path, such as `model.classifier[1]` for `classifier.1`."""
    parts = (f"[{part}]" if part.isdigit() else f".{part}" for part in path.split("."))
    return "model" + "".join(parts)

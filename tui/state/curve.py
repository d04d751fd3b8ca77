"""The loss and accuracy of one start, as the plots show them."""

from __future__ import annotations

from dataclasses import dataclass, field

STRATEGY_KEYS = {
    "feature-extraction": ("1", "head"),
    "last-stage": ("2", "last stage"),
    "last-two-stages": ("3", "last two"),
    "full": ("4", "full"),
    "bn-only": ("5", "BN only"),
}
"""Key and short name of each strategy, as the strategy line and the curves' legends show them."""


@dataclass
class Curve:
    """The numbers of one start: the current one, or an earlier one that is kept as a ghost."""

    start: int
    loss: list[tuple[int, float]] = field(default_factory=list)
    """(step, training loss of the batch)."""
    validation: list[tuple[int, int, int]] = field(default_factory=list)
    """(step, correct, total) on the yardstick."""
    full_validation: list[tuple[int, int, int, float]] = field(default_factory=list)
    """(step, correct, total, loss) on the whole validation set."""
    accuracy: list[tuple[int, float]] = field(default_factory=list)
    """(step, accuracy from 0 to 1) of both kinds of validation, in the order of the steps."""
    strategies: list[str | None] = field(default_factory=list)
    """The strategies that its steps used, without repeats; None is a mask set by hand."""
    weights: str = ""
    """The label of the weights it started from, if they are not the session's."""
    plan: str = ""
    """The name of the plan that its steps followed; empty without one."""

    @property
    def label(self) -> str:
        """Such as `1 head`, `scratch 4 full`, `lp-ft`; `by hand` if its masks differ."""
        if self.plan:
            name = self.plan
        elif len(self.strategies) == 1 and self.strategies[0] in STRATEGY_KEYS:
            name = " ".join(STRATEGY_KEYS[self.strategies[0]])
        else:
            name = "by hand"
        return f"scratch {name}" if self.weights == "random" else name

"""All strategies and plans, as a list that says what each is for and what it costs."""

from __future__ import annotations

from tui.drawing.theme import Glyphs, Palette
from tui.screens.choice_dialog import Choice, ChoiceDialog
from tui.state.curve import STRATEGY_KEYS
from tui.state.mask_undo import Mask
from tui.state.run_state import RunState
from tui.text.format import format_ms, format_params
from tui.text.step_cost import step_cost_of

WHAT_FOR = {
    "feature-extraction": "little data, much like ImageNet",
    "last-stage": "some data: late features adapt",
    "last-two-stages": "more data, or other pictures",
    "full": "much data, or far from photographs",
    "bn-only": "few weights: new light or contrast",
}
PLANS = {
    "lp-ft": "head first, then all: starts gently",
    "gradual": "one stage more each epoch",
}
"""What each plan is for, by its name."""
NO_PLAN = "no plan"


class StrategyList(ChoiceDialog):
    """Dismissed with the name of a strategy or a plan, with `NO_PLAN`, or None."""

    def __init__(self, state: RunState, appearance: tuple[Palette, Glyphs]) -> None:
        session, plan = state.session, state.training.plan
        answers: list[Choice] = []
        masks = {
            n: frozenset(owners) for n, owners in (session.strategies if session else {}).items()
        }
        for name, mask in masks.items():
            label = STRATEGY_KEYS.get(name, ("", name))[1]
            answers.append(
                _answer(len(answers) + 1, label, mask, state, WHAT_FOR.get(name, ""), name)
            )
        whole = frozenset(range(len(session.stack.owners))) if session else frozenset()
        for name, what in PLANS.items():
            answers.append(_answer(len(answers) + 1, name, whole, state, what, name, plan=True))
        names = [answer.value for answer in answers]
        if plan is not None:
            answers.append(Choice(("0",), f"leave the plan {plan.name}, keep what trains", NO_PLAN))
        now = plan.name if plan is not None else state.strategy
        super().__init__(
            "Strategies and plans",
            "What trains, and what a step of it takes; the rest stays frozen. A plan goes through "
            "strategies over the epochs; any choice by hand ends it.",
            answers,
            appearance,
            names.index(now) if now in names else 0,
        )


def _answer(
    number: int,
    label: str,
    mask: Mask,
    state: RunState,
    what: str,
    name: str,
    *,
    plan: bool = False,
) -> Choice:
    cost = step_cost_of(state, mask)
    takes = f"{format_ms(cost.step_ms)}" if cost.step_ms is not None else ""
    upto = "to " if plan else ""
    text = f"{label:<10} {upto + format_params(cost.params):>10} {takes:>8}   {what}"
    return Choice((str(number),), text, name)

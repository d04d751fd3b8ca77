"""The list of strategies and plans, with the purpose and the step cost of each."""

from __future__ import annotations

from tui.drawing.theme import Glyphs, Palette
from tui.screens.choice_dialog import Choice, ChoiceDialog
from tui.state.curve import STRATEGY_KEYS
from tui.state.mask_undo import Mask
from tui.state.run_state import RunState
from tui.text.format import format_ms, format_params
from tui.text.step_cost import step_cost_of

PURPOSES = {
    "feature-extraction": "few images, similar to ImageNet",
    "last-stage": "some images: late features adapt",
    "last-two-stages": "more images, or unlike ImageNet",
    "full": "many images, or no photographs",
    "bn-only": "new lighting or contrast",
}
"""What each strategy is for, by its name."""
PLANS = {
    "lp-ft": "head first, then all layers",
    "gradual": "one stage more each epoch",
}
"""What each plan does, by its name."""
NO_PLAN = "no plan"
"""The answer that ends the plan."""


class StrategyList(ChoiceDialog):
    """A dialog that returns the name of a strategy or a plan, `NO_PLAN`, or None."""

    def __init__(self, state: RunState, appearance: tuple[Palette, Glyphs]) -> None:
        session, plan = state.session, state.training.plan
        answers: list[Choice] = []
        masks = {
            n: frozenset(owners) for n, owners in (session.strategies if session else {}).items()
        }
        for name, mask in masks.items():
            label = STRATEGY_KEYS.get(name, ("", name))[1]
            answers.append(
                _answer(len(answers) + 1, label, mask, state, PURPOSES.get(name, ""), name)
            )
        everything = frozenset(range(len(session.stack.owners))) if session else frozenset()
        for name, purpose in PLANS.items():
            answers.append(
                _answer(len(answers) + 1, name, everything, state, purpose, name, plan=True)
            )
        names = [answer.value for answer in answers]
        if plan is not None:
            answers.append(Choice(("0",), f"end the plan {plan.name}, keep the mask", NO_PLAN))
        current = plan.name if plan is not None else state.strategy
        super().__init__(
            "Strategies and plans",
            "Each line shows the trainable parameters and the time of a step. A plan changes the "
            "strategy during training; any change of the mask by hand ends it.",
            answers,
            appearance,
            names.index(current) if current in names else 0,
        )


def _answer(
    number: int,
    label: str,
    mask: Mask,
    state: RunState,
    purpose: str,
    name: str,
    *,
    plan: bool = False,
) -> Choice:
    """Return the line of a strategy or a plan: label, parameters, step time and purpose."""
    cost = step_cost_of(state, mask)
    time = format_ms(cost.step_ms) if cost.step_ms is not None else ""
    up_to = "to " if plan else ""
    text = f"{label:<10} {up_to + format_params(cost.params):>10} {time:>8}   {purpose}"
    return Choice((str(number),), text, name)

"""All strategies, as a list that says what each is for."""

from __future__ import annotations

from tui.screens.question import Answer, Question
from tui.state import STRATEGY_KEYS, RunState
from tui.theme import Glyphs, Palette
from tui.widgets.strategy_line import amount

WHAT_FOR = {
    "feature-extraction": "little data, much like ImageNet",
    "last-stage": "some data: the latest features adapt too",
    "last-two-stages": "more data, or another kind of picture",
    "full": "much data, or pictures far from photographs",
}


class StrategyList(Question):
    """Dismissed with the strategy's name, or None."""

    def __init__(self, state: RunState, look: tuple[Palette, Glyphs]) -> None:
        session = state.session
        answers = []
        for number, (name, owners) in enumerate(session.strategies.items() if session else []):
            label = STRATEGY_KEYS.get(name, ("", name))[1]
            trains = amount(state.trainable_params(frozenset(owners)))
            text = f"{label:<11} {trains:>8}   {WHAT_FOR.get(name, '')}"
            answers.append(Answer((str(number + 1),), text, name))
        names = list(session.strategies) if session else []
        cursor = names.index(state.strategy) if state.strategy in names else 0
        super().__init__(
            "Strategies",
            "What trains, and how many parameters that is; the rest stays frozen.",
            answers,
            look,
            cursor,
        )

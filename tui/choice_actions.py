"""What trains: freezing and thawing, strategies, undo, and the BatchNorms' modes."""

from __future__ import annotations

from tui.choices import after_freeze_below, after_toggle, other_norm_mode
from tui.screens.strategies import StrategyList
from tui.stack_view import Target
from tui.state import STRATEGY_KEYS, MaskChange
from tui.workbench import Workbench


class ChoiceActions(Workbench):
    """Actions on the wanted mask."""

    def wish(self, mask: frozenset[int], what: str) -> None:
        """Want another mask, shown in the same frame."""
        if self.run_state.wish(mask, what):
            self.dialogue.mask()
            self.repaint()

    def toggle(self, target: Target) -> None:
        """What space does on a target."""
        self.wish(*after_toggle(self.run_state, target))

    def action_freeze_or_train(self) -> None:
        if target := self.need_stack():
            self.toggle(target)

    def action_freeze_below(self) -> None:
        if target := self.need_stack():
            self.wish(*after_freeze_below(self.run_state, target))

    def action_strategy(self, number: int) -> None:
        session = self.run_state.session
        if self.need_stack() and session and number < len(session.strategies):
            self._take_strategy(list(session.strategies)[number])

    def action_strategies(self) -> None:
        if self.need_stack():
            self.push_screen(StrategyList(self.run_state, self.look), self._take_strategy)

    def _take_strategy(self, name: str | None) -> None:
        if name and self.run_state.session:
            owners = frozenset(self.run_state.session.strategies[name])
            self.wish(owners, " ".join(STRATEGY_KEYS.get(name, (name,))))

    def action_undo(self) -> None:
        entry = self.run_state.undo()
        if entry is None:
            self.notices.answer("There is nothing to undo.")
        elif isinstance(entry, MaskChange):
            self.dialogue.mask()
            self.notices.answer(f"Undone: {entry.what}. U does it again.")
        elif self.need_engine():
            self.dialogue.undo_start_over()
            self.notices.answer("The start over is taken back.")
        self.repaint()

    def action_redo(self) -> None:
        entry = self.run_state.redo()
        self.notices.answer(f"Done again: {entry.what}." if entry else "There is nothing to redo.")
        if entry:
            self.dialogue.mask()
        self.repaint()

    def action_norm_mode(self) -> None:
        target = self.need_stack()
        if target and self.need_engine():
            owners, mode, sentence = other_norm_mode(self.run_state, target)
            if owners:
                self.dialogue.norm_mode(owners, mode)
            self.notices.answer(sentence)

"""Actions on which layers train: freezing, strategies, plans, undo and BatchNorm modes."""

from __future__ import annotations

from tl_tui.protocol.commands import SetPlan, UndoRestoreLayer
from tui.app.actions.base import ActionBase
from tui.screens.strategies import NO_PLAN, PLANS, StrategyList
from tui.state.cursor import Target
from tui.state.curve import STRATEGY_KEYS
from tui.state.mask_edits import after_freeze_below, after_toggle, next_norm_mode
from tui.state.mask_undo import MaskChange, RestoreEntry


class MaskActions(ActionBase):
    """Actions that change which layers train."""

    def change_mask(self, mask: frozenset[int], what: str, strategy: str | None = None) -> None:
        """Change the wanted mask and show it in the same frame.

        Args:
            mask: The parameter owners that shall train.
            what: The change, for the message of an undo.
            strategy: The strategy that the mask comes from, if any.
        """
        if self.run_state.provisional or self.run_state.cut:
            self.run_state.chosen_early = True
        if self.run_state.change_mask(mask, what):
            self.engine_session.mask(strategy)
            self.repaint_mask()

    def toggle(self, target: Target) -> None:
        """Freeze a target if all of it trains; otherwise train all of it."""
        edit = after_toggle(self.run_state, target)
        self.change_mask(edit.mask, edit.description)

    def action_freeze_or_train(self) -> None:
        if target := self.need_stack():
            self.toggle(target)

    def action_freeze_below(self) -> None:
        if target := self.need_stack():
            edit = after_freeze_below(self.run_state, target)
            self.change_mask(edit.mask, edit.description)

    def action_strategy(self, number: int) -> None:
        session = self.run_state.session
        if self.need_stack() and session and number < len(session.strategies):
            self._apply_strategy(list(session.strategies)[number])

    def action_strategies(self) -> None:
        if self.need_stack():
            self.push_screen(StrategyList(self.run_state, self.appearance), self._apply_strategy)

    def _apply_strategy(self, name: str | None) -> None:
        """Apply the answer of the strategy list: a strategy, a plan, `NO_PLAN` or None."""
        session = self.run_state.session
        if session is None or name is None:
            return
        if name in PLANS or name == NO_PLAN:
            self._set_plan(name if name in PLANS else None)
            return
        owners = frozenset(session.strategies[name])
        if self.run_state.training.plan is not None and owners == self.run_state.wanted:
            # The mask does not change, so it would not end the plan.
            self._set_plan(None)
        self.change_mask(owners, " ".join(STRATEGY_KEYS.get(name, (name,))), name)

    def _set_plan(self, plan: str | None) -> None:
        if self.need_engine():
            self.engine_session.send(SetPlan, plan=plan)
            if plan is not None:
                self.messages.clear()

    def action_undo(self) -> None:
        if self.engine_session.starting_over and self.run_state.phase == "ready":
            self.engine_session.undo_start_over()
            self.messages.show_now("Starting over is undone.")
            return
        plan_ended = self.run_state.training.plan_interrupted
        entry = self.run_state.undo()
        if entry is None:
            self.messages.show_now("There is nothing to undo.", lambda s: len(s.undo_list))
        elif isinstance(entry, MaskChange):
            self.engine_session.mask()
            plan_hint = " Press s to choose a plan again." if plan_ended else ""
            self.messages.show_now(
                f"Undone: {entry.what}. Press U to redo.{plan_hint}",
                lambda s: (s.wanted, len(s.redo_list)),
            )
        elif not self.need_engine():
            pass
        elif isinstance(entry, RestoreEntry):
            self.engine_session.send(UndoRestoreLayer)  # a message follows with `LayerRestored`
        else:
            self.engine_session.undo_start_over()
            self.messages.show_now("Starting over is undone.")
        self.repaint()

    def action_redo(self) -> None:
        entry = self.run_state.redo()
        self.messages.show_now(
            f"Redone: {entry.what}." if entry else "There is nothing to redo.",
            lambda s: (s.wanted, len(s.redo_list)),
        )
        if entry:
            self.engine_session.mask()
        self.repaint()

    def action_norm_mode(self) -> None:
        target = self.need_stack()
        if target and self.need_engine():
            owners, mode, sentence = next_norm_mode(self.run_state, target)
            before = {owner: self.run_state.norm_modes.get(owner, "auto") for owner in owners}
            if owners:
                self.engine_session.norm_mode(owners, mode)
            self.messages.show_now(
                sentence,
                lambda s: (
                    # The engine has not confirmed the new mode yet.
                    all(
                        s.norm_modes.get(owner, "auto") in (before[owner], mode) for owner in owners
                    ),
                    s.wanted.intersection(owners),
                ),
            )

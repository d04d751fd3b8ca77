"""Actions on which layers train: freezing, strategies, plans, undo and BatchNorm modes."""

from __future__ import annotations

from typing import ClassVar

from tl_tui.protocol.commands import SetPlan, UndoRestoreLayer
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import Plan, PlanChanged
from tui.app.actions.base import ActionBase
from tui.screens.strategies import NO_PLAN, PLANS, StrategyList
from tui.state.cursor import Target
from tui.state.curve import STRATEGY_KEYS
from tui.state.mask_edits import after_freeze_below, after_toggle, next_norm_mode
from tui.state.mask_undo import MaskChange, RestoreEntry
from tui.state.run_state import RunState


class MaskActions(ActionBase):
    """Actions that change which layers train."""

    EVENTS: ClassVar[tuple[type, ...]] = (PlanChanged,)

    def handle(self, event: AnyEvent) -> None:
        match event:
            case PlanChanged(plan=None, reason=why):
                self.messages.show_now(_plan_ended_sentence(self.run_state, why))
            case PlanChanged(plan=Plan(name=name), reason=why) if why:
                self.messages.show_now(f"The plan {name} continues.")

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
            self.messages.show_now("There is nothing to undo.")
        elif isinstance(entry, MaskChange):
            self.engine_session.mask()
            plan_hint = " Press s to choose a plan again." if plan_ended else ""
            self.messages.show_now(f"Undone: {entry.what}. Press U to redo.{plan_hint}")
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
        self.messages.show_now(f"Redone: {entry.what}." if entry else "There is nothing to redo.")
        if entry:
            self.engine_session.mask()
        self.repaint()

    def action_norm_mode(self) -> None:
        target = self.need_stack()
        if target and self.need_engine():
            owners, mode, sentence = next_norm_mode(self.run_state, target)
            if owners:
                self.engine_session.norm_mode(owners, mode)
            self.messages.show_now(sentence)


def _plan_ended_sentence(state: RunState, why: str) -> str:
    """Say that the plan has ended, why, and how the learning-rate schedule continues."""
    if not state.step:
        return f"The plan has ended ({why}). Press s to choose a plan."
    training = state.training
    epoch = training.epochs_until(training.horizon)
    return (
        f"The plan has ended ({why}); the schedule of its phase ends with epoch {epoch}. "
        "Press c to begin a new cycle, or s to choose a plan."
    )

"""How it trains: steps and runs, rates and the schedule, starting over, and what is proved."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tl_tui.protocol.commands import BeginCycle
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import StartedOver
from tl_tui.protocol.training import CheckpointSaved, TrainEnded
from tui.app.actions.base import ActionBase
from tui.app.config_from_state import current_config
from tui.state.cursor import Target, target_name
from tui.state.layer_status import target_rows
from tui.state.rate_ladder import next_rate
from tui.text.format import format_rate
from tui.text.progress import ended_sentence, epoch_words, schedule_words


class TrainingActions(ActionBase):
    """Actions that train."""

    EVENTS: ClassVar[tuple[type, ...]] = (StartedOver, TrainEnded, CheckpointSaved)

    def handle(self, event: AnyEvent) -> None:
        """React to an event of `EVENTS`."""
        match event:
            case StartedOver() if not self.engine_session.start_beside:
                self.messages.show_now(
                    "Started over: weights, optimizer and batches are as at the start. u takes it "
                    "back until the next step."
                )
            case StartedOver():
                self.messages.show_now(
                    "A new start: the one before stays as a curve and as a checkpoint; u takes it "
                    "back until the next step."
                )
            case TrainEnded():
                self.messages.show_now(ended_sentence(self.run_state, event))
            case CheckpointSaved(failure=failure) if failure:
                self.messages.pin(
                    failure
                    if event.name == "journal"
                    else f"The checkpoint {event.name} could not be saved: {failure}"
                )

    # --- steps ----------------------------------------------------------------------------------

    def action_step(self) -> None:
        if self.run_state.phase == "dead":
            self.need_engine()
        elif self.engine_session.running:
            self.messages.show_now("It is training; r pauses it, then t takes one step at a time.")
        elif not self.engine_session.step():
            self.messages.show_now("The step is noted: it runs as soon as the engine is ready.")
        self.repaint(now=False)

    def action_run(self) -> None:
        if self.run_state.phase in ("starting", "asking"):
            self._run_when_ready()
            return
        if not self.need_engine():
            return
        if self.engine_session.running:
            again = not self.engine_session.pause()
            self.messages.show_now(
                "It pauses as soon as what is running is done."
                if again
                else f"Pausing after this step, {epoch_words(self.run_state)}."
            )
        else:
            self.messages.clear()
            self.engine_session.train()
        self.repaint()

    def _run_when_ready(self) -> None:
        if self.engine_session.train_waits:
            self.engine_session.train_waits = False
            self.messages.show_now("It does not run when the engine is ready; r notes it again.")
        else:
            self.engine_session.train()
            self.messages.show_now("Training is noted: it begins as soon as the engine is ready.")

    def action_start_over(self) -> None:
        if not self.need_engine():
            return
        if self.engine_session.running:
            self.messages.show_now("It is training; r pauses it, then 0 starts over.")
        elif not self.run_state.step:
            self.messages.show_now("This is the start already.")
        else:
            self.engine_session.start_over()

    def action_accept(self) -> None:
        """Take what was proposed in place of a step that ran out of memory."""
        proposed = self.run_state.proposed()
        if proposed is None:
            self.messages.show_now("Nothing is proposed that could be accepted.")
            return
        self.messages.dismiss()
        self.run_state.not_applied = None
        if isinstance(proposed, int):
            chosen = current_config(self.engine_session.config, self.run_state)
            self.engine_session.change_to(msgspec.structs.replace(chosen, batch_size=proposed))
            self.messages.show_now(f"It is opened again with batches of {proposed}.")
            self.run_worker(self.link.close(), exit_on_error=True)
        elif self.run_state.change_mask(frozenset(proposed), "the mask that should fit"):
            self.engine_session.mask(self.run_state.strategy_of(frozenset(proposed)))
            self.messages.show_now("The mask that should fit; t or r goes on, u takes it back.")
        self.repaint()

    def action_audit(self) -> None:
        if self.need_engine():
            self.engine_session.audit()
            self.messages.show_now("Auditing: a step on a copy, every frozen tensor compared.")

    # --- rates and the schedule -----------------------------------------------------------------

    def action_rate(self, steps: int) -> None:
        """Take the base rates of the cursor's rows so many steps of 1, 2, 5 up or down."""
        if (target := self.need_stack()) and self.need_engine():
            training = self.run_state.training
            wanted = {
                row: next_rate(training.rates[row], steps, training.recipe_rate(row))
                for row in self._rows_of(target)
            }
            self._set_rates(target, wanted)

    def action_hold_still(self) -> None:
        if (target := self.need_stack()) and self.need_engine():
            self._set_rates(target, dict.fromkeys(self._rows_of(target), 0.0))

    def action_recipe_rate(self) -> None:
        if (target := self.need_stack()) and self.need_engine():
            recipe_rate = self.run_state.training.recipe_rate
            self._set_rates(target, {row: recipe_rate(row) for row in self._rows_of(target)})

    def _rows_of(self, target: Target) -> range:
        assert self.run_state.stack is not None
        return target_rows(self.run_state.stack, target)

    def _set_rates(self, target: Target, wanted: dict[int, float]) -> None:
        state, stack = self.run_state, self.run_state.stack
        assert stack is not None
        for rate in sorted(set(wanted.values())):
            self.engine_session.rate([row for row, its in wanted.items() if its == rate], rate)
        if target.kind == "owner":
            target = Target("row", stack.owners[target.index].row)
        low, high = min(wanted.values()), max(wanted.values())
        span = format_rate(low) if low == high else f"{format_rate(low)} to {format_rate(high)}"
        said = f"{target_name(stack, target)} learns at {span}"
        if not high:
            said = f"{target_name(stack, target)} is held still: it gets its gradient and stays"
        elif where := schedule_words(state):
            said += f" {where}" if where.startswith("×") else f", {where}"
        owners = [owner for row in wanted for owner in state.row_owners(row)]
        if not any(owner in state.wanted for owner in owners):
            said += ", once it is thawed"
        self.main.show_rates()
        self.messages.show_now(f"{said}.")
        self.repaint()

    def action_begin_cycle(self) -> None:
        if self.need_engine():
            recipe = self.run_state.training.recipe
            self.engine_session.send(BeginCycle)
            schedule = recipe.schedule if recipe else ""
            rate = "; the rates stay constant" if schedule == "constant" else ""
            self.messages.show_now(f"A new cycle of the schedule begins with the next step{rate}.")

"""Actions that train: steps, runs, starting over, the audit, learning rates and the schedule."""

from __future__ import annotations

import msgspec

from tl_tui.protocol.commands import BeginCycle
from tui.app.actions.base import ActionBase
from tui.app.config_from_state import current_config
from tui.state.cursor import Target, target_name
from tui.state.layer_status import target_rows
from tui.state.notice import activity, progress
from tui.state.rate_ladder import next_rate
from tui.state.run_state import RunState
from tui.text.format import format_rate
from tui.text.progress import epoch_text, schedule_position


class TrainingActions(ActionBase):
    """Actions that train the model or change how it trains."""

    # --- steps ----------------------------------------------------------------------------------

    def action_step(self) -> None:
        if self.run_state.phase == "dead":
            self.need_engine()
        elif self.engine_session.running:
            self.messages.show_now(
                "Training is running; press r to pause it, then t for single steps.", activity
            )
        elif not self.engine_session.step():
            self.messages.show_now("The step will run as soon as the engine is ready.", activity)
        self.repaint(now=False)

    def action_run(self) -> None:
        if self.run_state.phase in ("starting", "asking"):
            self._run_when_ready()
            return
        if not self.need_engine():
            return
        if self.engine_session.running:
            first_request = self.engine_session.pause()
            self.messages.show_now(
                f"Pausing after this step, {epoch_text(self.run_state)}."
                if first_request
                else "Already pausing; the current step or validation has to finish first.",
                activity,
            )
        else:
            self.messages.clear()
            self.engine_session.train()
        self.repaint()

    def _run_when_ready(self) -> None:
        if self.engine_session.train_waits:
            self.engine_session.train_waits = False
            self.messages.show_now(
                "Cancelled: training will no longer start by itself when the engine is ready.",
                activity,
            )
        else:
            self.engine_session.train()
            self.messages.show_now(
                "Training will start as soon as the engine is ready; press r again to cancel.",
                activity,
            )

    def action_start_over(self) -> None:
        if not self.need_engine():
            return
        if self.engine_session.running:
            self.messages.show_now(
                "Training is running; press r to pause it, then 0 to start over.", activity
            )
        elif not self.run_state.step:
            self.messages.show_now(
                "No step has been taken, so there is nothing to start over.", progress
            )
        else:
            self.engine_session.start_over()

    def action_accept(self) -> None:
        """Apply the batch size or mask that was proposed after a step ran out of memory."""
        proposed = self.run_state.proposed()
        if proposed is None:
            self.messages.show_now("There is no proposal to accept.", RunState.proposed)
            return
        self.messages.dismiss()
        self.run_state.not_applied = None
        if isinstance(proposed, int):
            config = current_config(self.engine_session.config, self.run_state)
            self.engine_session.change_to(msgspec.structs.replace(config, batch_size=proposed))
            self.messages.show_now(
                f"Reopening the session with a batch size of {proposed}.", activity
            )
            self.run_worker(self.link.close(), exit_on_error=True)
        elif self.run_state.change_mask(frozenset(proposed), "the mask that should fit"):
            self.engine_session.mask(self.run_state.strategy_of(frozenset(proposed)))
            self.messages.show_now(
                "The proposed layers are trainable now; a step with them should fit in memory. "
                "Press t for a step, or u to undo.",
                lambda s: (progress(s), s.wanted),
            )
        self.repaint()

    def action_audit(self) -> None:
        if self.need_engine():
            self.engine_session.audit()
            self.messages.show_now(
                "Auditing: a step on a copy of the model, then a comparison of every frozen "
                "tensor.",
                lambda s: (s.audited, s.phase),
            )

    # --- rates and the schedule -----------------------------------------------------------------

    def action_rate(self, steps: int) -> None:
        """Move the base learning rates of the cursor's rows along the series 1, 2, 5, 10.

        Args:
            steps: The number of steps up; negative for down.
        """
        if (target := self.need_stack()) and self.need_engine():
            training = self.run_state.training
            rates = {
                row: next_rate(training.rates[row], steps, training.recipe_rate(row))
                for row in self._rows_of(target)
            }
            self._set_rates(target, rates)

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

    def _set_rates(self, target: Target, rates: dict[int, float]) -> None:
        """Send base learning rates, by row, and say what they are."""
        state, stack = self.run_state, self.run_state.stack
        assert stack is not None
        for rate in sorted(set(rates.values())):
            self.engine_session.rate([row for row in rates if rates[row] == rate], rate)
        if target.kind == "owner":
            target = Target("row", stack.owners[target.index].row)
        name = target_name(stack, target)
        low, high = min(rates.values()), max(rates.values())
        if high:
            span = format_rate(low) if low == high else f"{format_rate(low)} to {format_rate(high)}"
            schedule = schedule_position(state).text
            sentence = f"{name} learns at {span}" + (f" ({schedule})" if schedule else "")
        else:
            sentence = f"{name} is held still: it receives its gradient but does not change"
        owners = [owner for row in rates for owner in state.row_owners(row)]

        def trains(state: RunState) -> bool:
            return any(owner in state.wanted for owner in owners)

        if not trains(state):
            sentence += ", once it is thawed"
        self.main.show_rates()
        self.messages.show_now(
            f"{sentence}.",
            lambda s: (
                tuple(s.training.rates[row] for row in rates if s.session),
                schedule_position(s).text,
                trains(s),
            ),
        )
        self.repaint()

    def action_begin_cycle(self) -> None:
        if self.need_engine():
            recipe = self.run_state.training.recipe
            self.engine_session.send(BeginCycle)
            schedule = recipe.schedule if recipe else ""
            rate = "; the rates stay constant" if schedule == "constant" else ""
            step = self.run_state.step
            if self.run_state.running:
                begins = f"A new cycle of the schedule was requested after step {step:,}"
                self.messages.show_now(f"{begins}{rate}.")
            else:
                begins = "A new cycle of the schedule begins with the next step"
                self.messages.show_now(f"{begins}{rate}.", progress)

"""A screen without an app on a simulated run: its state, its messages, and its text."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tests.support.screen_truth.reading import ScreenReader
from tests.support.screen_truth.simulated_run import SimulatedRun
from tests.support.screen_truth.truth import Truth
from tl_tui.protocol.config import Recipe
from tl_tui.protocol.events import AnyEvent
from tui.app.message_queue import MessageQueue
from tui.state.run_state import RunState
from tui.text.notices import event_notices, recipe_notice


class _Timer:
    def stop(self) -> None:
        pass


class _Pump:
    """Timers that fire when the test says so."""

    def __init__(self) -> None:
        self.due: Callable[[], None] | None = None

    def set_timer(self, seconds: float, callback: Callable[[], None]) -> _Timer:
        self.due = callback
        return _Timer()


class PlayedScreen:
    """A screen on a simulated run: its state, its messages and its text."""

    def __init__(self) -> None:
        self.state, self.pump, self.message = RunState(), _Pump(), ""
        self.messages = MessageQueue(self.pump, self._show, self.state)  # type: ignore[arg-type]
        self.readers = [ScreenReader(80), ScreenReader(120)]
        self.began: dict[str, Truth] = {}
        """The truth when each message was made."""
        self.run = SimulatedRun(self._take)

    def _take(self, event: AnyEvent) -> None:
        self.state.apply(event)
        self.messages.drop_untrue()
        for notice in event_notices(self.state, event):
            self.began[notice.sentence] = self.run.snapshot()
            self.messages.notify(notice)
        self.state.notices.clear()

    def _show(self, message: str) -> None:
        self.message = message.removeprefix("(Esc to dismiss) ")

    # --- what the user and others do --------------------------------------------------------------

    def toggle(self, number: int) -> None:
        truth = self.run.truth
        mask = self.run.masks[number % len(self.run.masks)]
        if truth.connected and truth.in_control and self.state.change_mask(mask, "a strategy"):
            command = self.state.next_id()
            self.state.sent_mask(command)
            self.run.confirm_mask(command, mask)

    def set_recipe(self) -> None:
        if self.run.known.idle or self.run.known.running:
            recipe = _changed_recipe(self.state)
            notice = recipe_notice(self.state, recipe, "")
            self.began[notice.sentence] = self.run.snapshot()
            self.messages.notify(notice)
            self.run.set_recipe(weight_decay=recipe.weight_decay)

    def die_and_resume(self) -> None:
        def die() -> None:
            self.state.died("It was killed.")
            self.messages.clear_all()
            self.state.restarted()

        self.run.resume(die)

    def read_message(self) -> None:
        """Let the time pass that it takes to read a message."""
        if self.pump.due is not None:
            self.pump.due()

    def do(self, action: str, number: int) -> None:
        run = self.run
        actions: dict[str, Callable[[], object]] = {
            "t": run.take_step,
            "yardstick": run.validate_yardstick,
            "evaluate": run.validate_all,
            "results": run.show_results,
            "drift": run.measure_drift,
            "run": run.begin_training,
            "train": run.train,
            "train on": lambda: run.train(number),
            "pause": run.pause,
            "start over": run.start_over,
            "undo start over": run.undo_start_over,
            "toggle": lambda: self.toggle(number),
            "other mask": lambda: run.another_screen_sets_mask(number),
            "second screen": lambda: run.set_viewers(2, True),
            "lose control": lambda: run.set_viewers(2, False),
            "take over": lambda: run.set_viewers(2, True),
            "alone": lambda: run.set_viewers(1, True),
            "audit": run.audit,
            "cost": run.measure_cost,
            "refuse": run.refuse,
            "recipe": self.set_recipe,
            "busy": lambda: run.work("validating"),
            "done": lambda: run.work(""),
            "folds": run.cross_validate,
            "fold": run.next_fold,
            "cut": lambda: run.cut(lambda: self.state.line_cut("The line is cut.")),
            "reconnect": run.reconnect,
            "resume": self.die_and_resume,
            "another run": lambda: run.another_run(self.state.left),
            "read": self.read_message,
        }
        actions[action]()
        self.messages.drop_untrue()


ACTIONS = (
    *("t", "yardstick", "evaluate", "results", "drift", "run", "train", "train on", "pause"),
    *("start over", "undo start over", "toggle", "other mask", "second screen", "lose control"),
    *("take over", "alone", "audit", "cost", "refuse", "recipe", "busy", "done", "folds", "fold"),
    *("cut", "reconnect", "resume", "another run", "read"),
)


def _changed_recipe(state: RunState) -> Recipe:
    """Return the recipe in use with more weight decay."""
    assert state.training.recipe is not None
    decay = state.training.recipe.weight_decay
    return msgspec.structs.replace(state.training.recipe, weight_decay=decay + 0.01)

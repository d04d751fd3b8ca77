"""A simulated run with what happens beside training: other screens, masks, checks and folds."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.support.screen_truth.simulated_training import SimulatedTraining
from tests.support.stack_messages import step_cost_measured
from tl_tui.protocol.checks import (
    Audited,
    CrossValidationEnded,
    FoldProgressed,
    FoldValidated,
)
from tl_tui.protocol.commands import SetMask
from tl_tui.protocol.events import (
    Confirmed,
    Heartbeat,
    Refused,
    ViewersChanged,
)
from tl_tui.protocol.session import (
    MaskPlanned,
    RecipeChanged,
)


class SimulatedRun(SimulatedTraining):
    """Sends consistent events about everything that an engine does."""

    def confirm_mask(self, command: int, mask: frozenset[int]) -> None:
        """Confirm the mask that this screen sent."""
        self.truth.wanted, self.truth.mask_by = mask, "You"
        self._late.record_command(SetMask(id=command, trainable=tuple(sorted(mask))))
        self.send(Confirmed(id=command))

    def another_screen_sets_mask(self, number: int) -> None:
        truth = self.truth
        mask = self.masks[number % len(self.masks)]
        if truth.connected and mask != truth.wanted:
            truth.wanted, truth.mask_by = mask, "Another screen"
            self.emit(MaskPlanned(trainable=tuple(sorted(mask)), reason=""))

    def set_viewers(self, clients: int, in_control: bool) -> None:
        if self.truth.connected:
            self.truth.clients, self.truth.in_control = clients, in_control
            self.send(ViewersChanged(clients=clients, in_control=in_control))

    def audit(self) -> None:
        self.audited.add(self.truth.step)
        self.emit(Audited(tensors=100, findings=(), step=self.truth.step))

    def measure_cost(self) -> None:
        if not self.truth.running:
            self.truth.costed = True
            self.emit(step_cost_measured(self.stack))

    def refuse(self) -> None:
        if self.truth.running and self.truth.connected:
            self.send(Refused(id=10**6, reason="Training runs; pause it before you start over."))

    def set_recipe(self, **changes: Any) -> None:
        session = self._session()
        recipe = msgspec.structs.replace(session.recipe, **changes)
        self.emit(RecipeChanged(recipe=recipe, rates=session.rates))

    def work(self, activity: str) -> None:
        """Work on something for more than a second; an empty activity ends it."""
        if self.truth.connected:
            self.truth.busy = activity
            self.send(Heartbeat(activity=activity, seconds=2.0 if activity else 0.0))

    def cross_validate(self) -> None:
        truth = self.truth
        if truth.idle:
            truth.fold = 1
            self.emit(FoldProgressed(fold=1, folds=2, step=3, steps=8))

    def next_fold(self) -> None:
        truth = self.truth
        if truth.fold is None:
            return
        self.emit(
            FoldValidated(
                fold=truth.fold,
                folds=2,
                correct=5,
                total=9,
                loss=0.4,
                per_class=((5, 9), *(((0, 0),) * 4)),
                steps=8,
                cached="",
                seconds=1.0,
            )
        )
        if truth.fold == 1:
            truth.fold = 2
            self.emit(FoldProgressed(fold=2, folds=2, step=5, steps=8))
            return
        truth.fold = None
        self.emit(
            CrossValidationEnded(
                folds=2, correct=10, total=18, accuracies=(0.5, 0.6), reason="done"
            )
        )

"""Starting over, a new start beside this one, and returning a layer to its first weights.

Each can be taken back until the next step. What a start is, is a snapshot of everything a step
changes; it is put back bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
import torch

from engine.data import TrainBatches
from engine.model import freezing, torchvision_models
from engine.model.batchnorm_calibration import calibrate
from engine.model.torchvision_models import Weights
from engine.session.progress import Mask
from tl_tui.protocol.config import Recipe
from tl_tui.protocol.session import Cycle, Plan
from tl_tui.settings.defaults import defaults

if TYPE_CHECKING:
    from engine.session.context import Opened
    from engine.session.progress import Course
    from engine.training.trainer import Snapshot

CALIBRATION_IMAGES = 128
"""Training images from which random weights' BatchNorm statistics are estimated, at most."""


@dataclass(frozen=True)
class Origin:
    """What starts begin from."""

    weights: str
    """Their label."""
    pretrained: bool
    snapshot: Snapshot
    recipe: Recipe
    wanted: Mask


@dataclass(frozen=True)
class _Before:
    """What to go back to when a start over is taken back."""

    snapshot: Snapshot
    origin: Origin
    start: int
    step: int
    put_back: int
    cycle: Cycle
    plan: Plan | None
    recipe: Recipe
    rates: tuple[float, ...]
    wanted: Mask


class Starts:
    """The origins of a session, the one it began from, and what can be taken back."""

    def __init__(self, opened: Opened, course: Course) -> None:
        self.opened, self.course = opened, course
        event = opened.event
        self.first = Origin(
            event.weights, event.pretrained, opened.trainer.snapshot(), event.recipe, course.wanted
        )
        self.origin = self.first
        self._scratch: Origin | None = None
        self._before: _Before | None = None
        self._before_return: tuple[Snapshot, set[int], int] | None = None
        """What was there, which owners were returned, and `Course.put_back`."""

    def took_step(self) -> None:
        """From here on nothing can be taken back."""
        self._before = self._before_return = None

    # --- starts ---------------------------------------------------------------------------------

    def over(self, origin: Origin) -> None:
        """Begin again from an origin: weights, buffers, optimizer, random state, position.

        From another origin than this start's its mask and recipe are taken too.
        """
        course, trainer = self.course, self.opened.trainer
        self._before = _Before(
            trainer.snapshot(),
            self.origin,
            course.start,
            course.step,
            course.put_back,
            course.cycle,
            course.plan,
            trainer.recipe,
            trainer.rates,
            course.wanted,
        )
        trainer.restore(origin.snapshot)
        if origin is not self.origin:
            trainer.set_recipe(origin.recipe)
            course.set_recipe(origin.recipe)
            course.wanted = origin.wanted
        self.origin = origin
        course.start += 1
        course.step = 0
        course.puts_back()
        course.follow(None)
        course.begin_cycle()

    def back(self) -> Snapshot | None:
        """Take the last start over back.

        Returns:
            What was restored; None if a step was taken since.
        """
        before, self._before = self._before, None
        if before is None:
            return None
        course, trainer = self.course, self.opened.trainer
        if self.origin is not before.origin:
            trainer.set_recipe(before.recipe)
            trainer.rates = before.rates
            course.set_recipe(before.recipe)
        trainer.restore(before.snapshot)
        course.start, course.step, course.put_back = before.start, before.step, before.put_back
        course.cycle = before.cycle
        if self.origin is not before.origin:
            course.wanted = before.wanted
        course.follow(before.plan)
        self.origin = before.origin
        return before.snapshot

    def scratch(self) -> Origin:
        """Random weights for the same model: calibrated, everything trainable, one rate.

        Made once, from the session's seed; the weights that are there stay as they are.
        """
        if self._scratch is None:
            self._scratch = self._from_scratch()
        return self._scratch

    def _from_scratch(self) -> Origin:
        opened, trainer = self.opened, self.opened.trainer
        event, config = opened.event, opened.config
        kept = trainer.snapshot()
        label = Weights("random", "", None, None)
        built = torchvision_models.build(
            config.arch,
            label,
            num_classes=len(event.classes),
            image_size=event.image_size,
            seed=config.seed,
        )
        fresh = built.model.state_dict()
        with torch.no_grad():
            for name, tensor in trainer.tensors():
                tensor.copy_(fresh[name])
        batches = TrainBatches(opened.folder.train, event.batch_size, config.seed, opened.decoder)
        count = max(1, min(CALIBRATION_IMAGES, len(opened.folder.train)) // event.batch_size)
        if any(owner.keeps_statistics for owner in opened.stack.owners):
            images = (batches.take().images.to(trainer.device) for _ in range(count))
            calibrate(trainer.model, images)
        torch.manual_seed(config.seed)
        began = trainer.snapshot()
        trainer.restore(kept)
        table = defaults(pretrained=False, accelerator=trainer.device.type != "cpu")
        recipe = msgspec.structs.replace(
            trainer.recipe, lr_head=table.lr_head, lr_pretrained=table.lr_pretrained, lr_decay=1.0
        )
        return Origin(
            label.label,
            False,
            # A start has no optimizer state yet, stands at the first batch, and applied no mask.
            replace(began, optimizer_state={}, position=0, applied=frozenset()),
            recipe,
            freezing.strategies(opened.stack)["full"],
        )

    # --- one layer ------------------------------------------------------------------------------

    def return_layer(self, owners: set[int]) -> None:
        """Put owners back to the weights and buffers their start began with."""
        trainer = self.opened.trainer
        self._before_return = trainer.snapshot(), owners, self.course.put_back
        self.course.puts_back()
        first = self.origin.snapshot.tensors
        chosen = {
            index: owner for index, owner in enumerate(self.opened.stack.owners) if index in owners
        }
        with torch.no_grad():
            for owner in chosen.values():
                prefix = f"{owner.name}." if owner.name else ""
                for name, tensor in owner.module.named_parameters(recurse=False):
                    tensor.copy_(first[prefix + name])
                for name, buffer in owner.module.named_buffers(recurse=False):
                    buffer.copy_(first[prefix + name])
        trainer.optimizer.make_ready(
            trainable=(), frozen=(p for owner in chosen.values() for p in owner.parameters)
        )

    def return_back(self) -> set[int] | None:
        """Take the last returned layer back.

        Returns:
            The owners that were returned; None if a step was taken since.
        """
        before, self._before_return = self._before_return, None
        if before is None:
            return None
        snapshot, owners, self.course.put_back = before
        self.opened.trainer.restore(snapshot)
        return owners

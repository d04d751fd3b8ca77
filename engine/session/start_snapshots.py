"""Starting over, a new start beside this one, and returning a layer to its first weights.

Each can be taken back until the next step. What a start is, is a snapshot of everything a step
changes; it is put back bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
import torch

from engine.data.batches import TrainBatches
from engine.model import freezing, torchvision_models
from engine.model.batchnorm_calibration import calibrate
from engine.model.torchvision_models import Weights
from engine.session.progress import Mask
from tl_tui.protocol.config import Recipe
from tl_tui.protocol.session import Cycle, Plan
from tl_tui.settings.defaults import defaults

if TYPE_CHECKING:
    from engine.session.context import SessionContext
    from engine.session.progress import Progress
    from engine.training.snapshot import Snapshot

CALIBRATION_IMAGES = 128
"""Training images from which random weights' BatchNorm statistics are estimated, at most."""


@dataclass(frozen=True)
class StartSnapshot:
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
    origin: StartSnapshot
    start: int
    step: int
    put_back: int
    cycle: Cycle
    plan: Plan | None
    recipe: Recipe
    rates: tuple[float, ...]
    wanted: Mask


class StartSnapshots:
    """The origins of a session, the one it began from, and what can be taken back."""

    def __init__(self, context: SessionContext, progress: Progress) -> None:
        self.context, self.progress = context, progress
        event = context.event
        self.first = StartSnapshot(
            event.weights,
            event.pretrained,
            context.trainer.snapshot(),
            event.recipe,
            progress.wanted,
        )
        self.origin = self.first
        self._scratch: StartSnapshot | None = None
        self._before: _Before | None = None
        self._before_return: tuple[Snapshot, set[int], int] | None = None
        """What was there, which owners were returned, and `Progress.put_back`."""

    def took_step(self) -> None:
        """From here on nothing can be taken back."""
        self._before = self._before_return = None

    # --- starts ---------------------------------------------------------------------------------

    def over(self, origin: StartSnapshot) -> None:
        """Begin again from an origin: weights, buffers, optimizer, random state, position.

        From another origin than this start's its mask and recipe are taken too.
        """
        progress, trainer = self.progress, self.context.trainer
        self._before = _Before(
            trainer.snapshot(),
            self.origin,
            progress.start,
            progress.step,
            progress.put_back,
            progress.cycle,
            progress.plan,
            trainer.recipe,
            trainer.rates,
            progress.wanted,
        )
        trainer.restore(origin.snapshot)
        if origin is not self.origin:
            trainer.set_recipe(origin.recipe)
            progress.set_recipe(origin.recipe)
            progress.wanted = origin.wanted
        self.origin = origin
        progress.start += 1
        progress.step = 0
        progress.puts_back()
        progress.follow(None)
        progress.begin_cycle()

    def back(self) -> Snapshot | None:
        """Take the last start over back.

        Returns:
            What was restored; None if a step was taken since.
        """
        before, self._before = self._before, None
        if before is None:
            return None
        progress, trainer = self.progress, self.context.trainer
        if self.origin is not before.origin:
            trainer.set_recipe(before.recipe)
            trainer.rates = before.rates
            progress.set_recipe(before.recipe)
        trainer.restore(before.snapshot)
        progress.start, progress.step, progress.put_back = (
            before.start,
            before.step,
            before.put_back,
        )
        progress.cycle = before.cycle
        if self.origin is not before.origin:
            progress.wanted = before.wanted
        progress.follow(before.plan)
        self.origin = before.origin
        return before.snapshot

    def scratch(self) -> StartSnapshot:
        """Random weights for the same model: calibrated, everything trainable, one rate.

        Made once, from the session's seed; the weights that are there stay as they are.
        """
        if self._scratch is None:
            self._scratch = self._from_scratch()
        return self._scratch

    def _from_scratch(self) -> StartSnapshot:
        context, trainer = self.context, self.context.trainer
        event, config = context.event, context.config
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
        batches = TrainBatches(context.folder.train, event.batch_size, config.seed, context.decoder)
        count = max(1, min(CALIBRATION_IMAGES, len(context.folder.train)) // event.batch_size)
        if any(owner.keeps_statistics for owner in context.stack.owners):
            images = (batches.take().images.to(trainer.device) for _ in range(count))
            calibrate(trainer.model, images)
        torch.manual_seed(config.seed)
        began = trainer.snapshot()
        trainer.restore(kept)
        table = defaults(pretrained=False, accelerator=trainer.device.type != "cpu")
        recipe = msgspec.structs.replace(
            trainer.recipe, lr_head=table.lr_head, lr_pretrained=table.lr_pretrained, lr_decay=1.0
        )
        return StartSnapshot(
            label.label,
            False,
            # A start has no optimizer state yet, stands at the first batch, and applied no mask.
            replace(began, optimizer_state={}, position=0, applied=frozenset()),
            recipe,
            freezing.strategies(context.stack)["full"],
        )

    # --- one layer ------------------------------------------------------------------------------

    def return_layer(self, owners: set[int]) -> None:
        """Put owners back to the weights and buffers their start began with."""
        trainer = self.context.trainer
        self._before_return = trainer.snapshot(), owners, self.progress.put_back
        self.progress.puts_back()
        first = self.origin.snapshot.tensors
        chosen = {
            index: owner for index, owner in enumerate(self.context.stack.owners) if index in owners
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
        snapshot, owners, self.progress.put_back = before
        self.context.trainer.restore(snapshot)
        return owners

"""Snapshots of the states that starts begin from, to start over and to restore layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
import torch

from engine.data.batch_order import Cursor
from engine.model import freezing, torchvision_models
from engine.model.batchnorm_calibration import calibrate
from engine.model.weights import Weights
from engine.session.calibration_images import calibration_images
from engine.session.progress import Mask
from tl_tui.protocol.config import Recipe
from tl_tui.protocol.session import Cycle, Plan
from tl_tui.settings.defaults import defaults

if TYPE_CHECKING:
    from engine.session.context import SessionContext
    from engine.session.progress import Progress
    from engine.training.snapshot import Snapshot


@dataclass(frozen=True)
class StartSnapshot:
    """A state that starts can begin from."""

    weights: str
    """The label of its weights."""
    pretrained: bool
    snapshot: Snapshot
    recipe: Recipe
    wanted: Mask


@dataclass(frozen=True)
class _BeforeStartOver:
    """The state before a start over, to undo it."""

    snapshot: Snapshot
    start_snapshot: StartSnapshot
    start: int
    step: int
    restore_id: int
    cycle: Cycle
    plan: Plan | None
    recipe: Recipe
    rates: tuple[float, ...]
    wanted: Mask


@dataclass(frozen=True)
class _BeforeRestore:
    """The state before layers were restored, to undo that."""

    snapshot: Snapshot
    owners: set[int]
    """The owners that were restored."""
    restore_id: int


class StartSnapshots:
    """The snapshots that starts begin from. Each change can be undone until the next step."""

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
        """What the session began from."""
        self.current = self.first
        """What the current start began from."""
        self._random: StartSnapshot | None = None
        self._before_start_over: _BeforeStartOver | None = None
        self._before_restore: _BeforeRestore | None = None

    def took_step(self) -> None:
        """Forget how to undo: a step was taken."""
        self._before_start_over = self._before_restore = None

    # --- starts ---------------------------------------------------------------------------------

    def start_over(self, chosen: StartSnapshot) -> None:
        """Begin a new start: restore weights, buffers, optimizer, random state and batch position.

        Args:
            chosen: What to begin from. If it is not what the current start began from, its mask
                and recipe are set too.
        """
        progress, trainer = self.progress, self.context.trainer
        self._before_start_over = _BeforeStartOver(
            trainer.snapshot(),
            self.current,
            progress.start,
            progress.step,
            progress.restore_id,
            progress.cycle,
            progress.plan,
            trainer.recipe,
            trainer.rates,
            progress.wanted,
        )
        trainer.restore(chosen.snapshot)
        if chosen is not self.current:
            trainer.set_recipe(chosen.recipe)
            progress.set_recipe(chosen.recipe)
            progress.wanted = chosen.wanted
        self.current = chosen
        progress.start += 1
        progress.step, progress.first_loss = 0, None
        progress.left_in_epoch = progress.batches_per_epoch
        progress.mark_restored()
        progress.follow(None)
        progress.begin_cycle()

    def undo_start_over(self) -> Snapshot | None:
        """Undo the last start over.

        Returns:
            The state that was restored; None if there is no start over to undo.
        """
        before, self._before_start_over = self._before_start_over, None
        if before is None:
            return None
        progress, trainer = self.progress, self.context.trainer
        changed = self.current is not before.start_snapshot
        if changed:
            trainer.set_recipe(before.recipe)
            trainer.rates = before.rates
            progress.set_recipe(before.recipe)
        trainer.restore(before.snapshot)
        progress.start, progress.step = before.start, before.step
        progress.left_in_epoch = trainer.batches.left_in_epoch
        progress.restore_id = before.restore_id
        progress.cycle = before.cycle
        if changed:
            progress.wanted = before.wanted
        progress.follow(before.plan)
        self.current = before.start_snapshot
        return before.snapshot

    def random_weights(self) -> StartSnapshot:
        """Return a start from random weights for the same model.

        The weights are drawn from the session's seed and their BatchNorm statistics calibrated;
        all layers are trainable, at one learning rate. The model itself is left unchanged.
        """
        if self._random is None:
            self._random = self._make_random_weights()
        return self._random

    def _make_random_weights(self) -> StartSnapshot:
        context, trainer = self.context, self.context.trainer
        event, config = context.event, context.config
        before = trainer.snapshot()
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
        if any(owner.keeps_statistics for owner in context.stack.owners):
            images = calibration_images(
                context.folder.train,
                event.batch_size,
                config.seed,
                context.decoder,
                trainer.device,
                context.folder.unreadable,
            )
            calibrate(trainer.model, images)
        torch.manual_seed(config.seed)
        snapshot = trainer.snapshot()
        trainer.restore(before)
        table = defaults(pretrained=False, accelerator=trainer.device.type != "cpu")
        recipe = msgspec.structs.replace(
            trainer.recipe, lr_head=table.lr_head, lr_pretrained=table.lr_pretrained, lr_decay=1.0
        )
        return StartSnapshot(
            label.label,
            False,
            # A start has no optimizer state, is at the first batch, and has applied no mask.
            replace(snapshot, optimizer_state={}, cursor=Cursor(0, 0), applied=frozenset()),
            recipe,
            freezing.strategies(context.stack)["full"],
        )

    # --- layers ---------------------------------------------------------------------------------

    def restore_layers(self, owners: set[int]) -> None:
        """Restore owners to the weights and buffers that the current start began with."""
        trainer = self.context.trainer
        self._before_restore = _BeforeRestore(trainer.snapshot(), owners, self.progress.restore_id)
        self.progress.mark_restored()
        first = self.current.snapshot.tensors
        chosen = [owner for index, owner in enumerate(self.context.stack.owners) if index in owners]
        with torch.no_grad():
            for owner in chosen:
                prefix = f"{owner.name}." if owner.name else ""
                for name, tensor in owner.module.named_parameters(recurse=False):
                    tensor.copy_(first[prefix + name])
                for name, buffer in owner.module.named_buffers(recurse=False):
                    buffer.copy_(first[prefix + name])
        trainer.optimizer.make_ready(
            trainable=(), frozen=(p for owner in chosen for p in owner.parameters)
        )

    def undo_restore_layers(self) -> set[int] | None:
        """Undo the last restoring of layers.

        Returns:
            The owners that had been restored; None if there is nothing to undo.
        """
        before, self._before_restore = self._before_restore, None
        if before is None:
            return None
        self.progress.restore_id = before.restore_id
        self.context.trainer.restore(before.snapshot)
        return before.owners

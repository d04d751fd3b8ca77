"""The trainer: one train step, evaluation, and the state that a step changes.

Read `Trainer.step` from top to bottom to see how training works.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.data.batches import Batch
from engine.data.samples import Sample
from engine.data.train_batches import TrainBatches
from engine.hardware.memory_errors import ran_out_of_memory
from engine.hardware.peak_memory import peak_memory, reset_peak_memory
from engine.model import freezing
from engine.model.freezing import Mask
from engine.model.layer_stack import Cut, Stack
from engine.training.cuda_graphs import CudaGraphs, RunPasses
from engine.training.feature_cache import CacheUse, FeatureCache
from engine.training.optimizer import RowOptimizer
from engine.training.probe import Measurement, Probe
from engine.training.snapshot import Snapshot
from engine.training.step_backup import StepBackup
from engine.training.step_errors import (
    HalfUpdated,
    NotFinite,
    OutOfMemory,
    check_finite,
    locate,
)
from engine.training.step_result import BatchPredictions, PassResult, StepResult
from tl_tui.protocol.config import Recipe
from tl_tui.protocol.layers import NormMode
from tl_tui.settings.recipe import base_rates

T = TypeVar("T")


def _no_mark(_: str) -> None:
    """Stand in for the probe's `mark` in a step that is not measured."""


class Trainer:
    """A model, its one optimizer, its batches, and the mask the last step ran with."""

    def __init__(
        self,
        stack: Stack,
        batches: TrainBatches,
        device: torch.device,
        recipe: Recipe,
        features: FeatureCache | None = None,
    ) -> None:
        self.stack = stack
        self.model: nn.Module = stack.model
        self.feature_cache = features
        self.chosen = CacheUse(None, "")
        """Where the last step started from: the images, or cached activations."""
        self.batches = batches
        self.device = device
        self.probe = Probe(stack)
        self.spare: dict[Tensor, Tensor] = {}
        """A tensor per buffer, in which a step keeps a copy of the buffer."""
        self.cuda_graphs: CudaGraphs | None = None
        """The CUDA graphs that a run's steps are replayed from; None if every step is eager."""
        self.recipe = recipe
        self.rates = base_rates(recipe, stack.rows)
        """The base learning rate of each row; the schedule multiplies it."""
        self.optimizer = RowOptimizer(stack, recipe)
        self.applied: Mask = frozenset()
        self.whole = True
        """False once an update has failed in its middle: the weights are not those of any step."""
        self._updating = False

    def set_recipe(self, recipe: Recipe) -> None:
        """Train with another recipe from the next step on.

        Optimizer state is kept unless the recipe names another optimizer. Rates set by hand are
        kept unless the recipe changes the base rates.
        """
        by_recipe = base_rates(self.recipe, self.stack.rows)
        if recipe.optimizer != self.optimizer.kind:
            self.optimizer = RowOptimizer(self.stack, recipe)
        self.optimizer.set_hyperparameters(recipe)
        self.batches.configure(augmentation=recipe.augmentation, balance=recipe.balance)
        self.recipe = recipe
        rates = base_rates(recipe, self.stack.rows)
        if rates != by_recipe:
            self.rates = rates

    # --- the step -------------------------------------------------------------------------------

    def step(
        self,
        mask: Mask,
        norm_modes: Mapping[int, NormMode],
        *,
        measured: bool,
        lr_factor: float = 1.0,
        cached: bool = False,
        replayed: bool = False,
        within_epoch: bool = False,
    ) -> StepResult:
        """Take one train step: forward, loss, backward, gradient norms, update.

        With nothing trainable only the forward pass runs.

        Args:
            mask: The trainable owners; applied before anything else.
            norm_modes: The mode of each BatchNorm whose mode was switched by hand.
            measured: Whether the probe measures every layer.
            lr_factor: The schedule's factor for every row's base learning rate.
            cached: Start from cached activations below the boundary where the feature cache has
                them.
            replayed: Replay the passes from a CUDA graph where there is one.
            within_epoch: As for `TrainBatches.take`.

        Raises:
            OutOfMemory: memory ran out; everything is as before the step.
            NotFinite: the loss or a gradient is NaN or infinite; everything is as before the step.
            EpochOver: no image of the rest of the epoch can be read any more.
            HalfUpdated: the update itself failed; the weights are not those of any step.
        """
        cut = self._choose_cut(mask, norm_modes, cached)
        in_train_mode = mask | {owner for owner, mode in norm_modes.items() if mode == "train"}
        backup = StepBackup.of(self, in_train_mode)
        self._updating = False
        passes: PassResult | None = None
        try:
            batch = self._next_batch(cut, within_epoch=within_epoch)
            images = batch.images.to(self.device, non_blocking=True)
            labels = batch.labels.to(self.device, non_blocking=True)
            self.apply(mask, norm_modes)
            self.optimizer.set_rates(self.rates, lr_factor)
            mark = self.probe.mark if measured else _no_mark
            reset_peak_memory(self.device)
            began = time.perf_counter()

            def forward_backward(images: Tensor, labels: Tensor) -> PassResult:
                with self.probe.watching() if measured else nullcontext():
                    mark("forward")
                    with self._autocast():
                        logits = self.forward(batch.cut, images)
                    loss = F.cross_entropy(logits.float(), labels)
                    mark("backward")
                    if loss.requires_grad:
                        loss.backward()
                    mark("arrived")
                return PassResult.of(logits, labels, loss, self.probe.gradient_norms())

            graph_key = (mask, frozenset(norm_modes.items()), batch.cut and batch.cut.name)
            passes = self._run_passes(
                forward_backward, images, labels, graph_key if replayed else None, measured=measured
            )
            if not self.optimizer.gated:
                check_finite(self.stack, passes.numbers.tolist())
            if measured:
                self.probe.before_update()
            mark("update")
            if passes.learns:
                self.optimizer.make_room()
                self._updating = True
                # A GPU is not waited for: it skips the update itself if a gradient is not finite.
                gate = passes.numbers if self.optimizer.gated else None
                self.optimizer.step(only_if_finite=gate)
            mark("end")
            numbers, measurement = self._read(passes, measured=measured)
            self._updating = False
            return StepResult(
                batch=batch,
                loss=numbers[0],
                correct=int(numbers[1]),
                seconds=time.perf_counter() - began,
                measurement=measurement,
                memory_used=passes.memory_used or peak_memory(self.device),
                cached_rows=self.feature_cache.rows_below(batch.cut)
                if self.feature_cache and not batch.executed
                else 0,
                captured=passes.captured,
            )
        except Exception as error:
            passes = None  # it may hold memory of a CUDA graph
            failure = self._undo(error, backup)
            if isinstance(failure, NotFinite) and failure.what != "gradient":
                decoder = self.feature_cache.decoder if self.feature_cache else None
                autocast = self._autocast()
                failure = locate(failure, self.stack, batch, images, decoder, autocast)
                backup.restore(self)
        # Outside of `except`, because the exception holds the step's tensors.
        if isinstance(failure, OutOfMemory) and self._free_memory():
            again = partial(self.step, mask, norm_modes, measured=measured, lr_factor=lr_factor)
            return again(cached=cached, within_epoch=within_epoch)
        raise failure

    def forward(self, cut: Cut | None, values: Tensor) -> Tensor:
        """Return logits [N, classes] for images, or for their activations at a cut."""
        return self.model(values) if cut is None else self.stack.run_from(cut, values)

    def _choose_cut(
        self, mask: Mask, norm_modes: Mapping[int, NormMode], cached: bool
    ) -> Cut | None:
        """Return the cut whose cached activations the step starts from; None for the images."""
        self.chosen = CacheUse(None, "")
        if cached and self.feature_cache is not None:
            self.chosen = self.feature_cache.choose(mask, norm_modes, self.recipe.augmentation)
        return self.chosen.cut

    def _next_batch(self, cut: Cut | None, *, within_epoch: bool) -> Batch:
        features = self.feature_cache
        if cut is None or features is None:
            return self.batches.take(within_epoch=within_epoch)
        bf16 = self.recipe.precision == "bf16"
        return self.batches.take_made(
            lambda samples, epoch: features.batch(cut, samples, epoch, bf16),
            within_epoch=within_epoch,
        )

    def _run_passes(
        self,
        forward_backward: RunPasses,
        images: Tensor,
        labels: Tensor,
        graph_key: Hashable,
        *,
        measured: bool,
    ) -> PassResult:
        """Run the forward and backward pass, or replay them from a CUDA graph."""
        if self.cuda_graphs is None or graph_key is None:
            return forward_backward(images, labels)
        kind = (graph_key, self.recipe.precision)
        return self.cuda_graphs.take(kind, images, labels, measured=measured, run=forward_backward)

    def _read(
        self, passes: PassResult, *, measured: bool
    ) -> tuple[list[float], Measurement | None]:
        """Bring the step's numbers to the host, in one transfer where the update was gated.

        Raises:
            NotFinite: as `check_finite`; the gated update was skipped.
        """
        readings = None
        if measured:
            readings = self._if_memory_allows(lambda: self.probe.readings(passes.norms))
        if not self.optimizer.gated:
            numbers = passes.numbers.tolist()
            values = [] if readings is None else readings.tolist()
        else:  # the one point at which a step waits for the device
            both = passes.numbers if readings is None else torch.cat([passes.numbers, readings])
            values = both.tolist()
            numbers, values = values[:3], values[3:]
            if not self._was_applied(numbers):
                readings = None
        if readings is None:
            return numbers, None
        return numbers, self._if_memory_allows(lambda: self.probe.measure(values))

    def _was_applied(self, numbers: list[float]) -> bool:
        """Return whether the gated update was applied; if not, apply it now.

        The gate is closed by mistake where a sum of squares overflows.

        Raises:
            NotFinite: as `check_finite`; no weight has moved.
        """
        try:
            check_finite(self.stack, numbers)
        except NotFinite:
            self._updating = False
            raise
        if all(math.isfinite(number) for number in numbers):
            return True
        self.optimizer.step()
        return False

    @staticmethod
    def _if_memory_allows(read: Callable[[], T]) -> T | None:
        """Return a reading of the probe; None without memory for it: the step is not measured."""
        try:
            return read()
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            return None

    def _undo(self, error: Exception, backup: StepBackup) -> Exception:
        """Undo a step that failed, and return the exception to raise."""
        traceback.clear_frames(error.__traceback__)  # they hold activations
        if self._updating:
            self.whole = False
            failure = HalfUpdated(
                f"the update failed in its middle ({error}), so the weights are not those of any "
                "step"
            )
            failure.__cause__ = error
            return failure
        backup.restore(self)
        if ran_out_of_memory(error):
            return OutOfMemory(str(error).strip().splitlines()[0] if str(error) else "")
        return error

    def _free_memory(self) -> bool:
        """Free the device's memory; return whether CUDA graphs were dropped, so that another
        attempt is worthwhile."""
        dropped = self.cuda_graphs is not None and self.cuda_graphs.drop()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return dropped

    def apply(self, mask: Mask, norm_modes: Mapping[int, NormMode]) -> None:
        """Freeze and unfreeze parameters according to a mask, between two steps.

        Gradients are dropped first, so that a stale one cannot move a layer that is frozen now.
        """
        self.optimizer.zero_grad()
        owners = self.stack.owners
        self.optimizer.make_ready(
            trainable=(p for index in sorted(mask) for p in owners[index].parameters),
            frozen=(p for i, o in enumerate(owners) if i not in mask for p in o.parameters),
        )
        freezing.set_requires_grad(self.stack, mask)
        freezing.set_modes(self.stack, mask, norm_modes)
        self.applied = mask

    def _autocast(self) -> torch.autocast:
        """Return the mixed-precision context of the recipe; bfloat16 needs no loss scaling."""
        bf16 = self.recipe.precision == "bf16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16)

    # --- evaluation -----------------------------------------------------------------------------

    def held_out(self, samples: tuple[Sample, ...], batch_size: int) -> Iterator[Batch]:
        """Yield batches to evaluate: cached activations if the last step used them, else images."""
        cut, features = self.chosen.cut, self.feature_cache
        if cut is None or features is None:
            yield from self.batches.decoder.batches(samples, batch_size)
            return
        bf16 = self.recipe.precision == "bf16"
        for first in range(0, len(samples), batch_size):
            yield features.batch(cut, samples[first : first + batch_size], 0, bf16)

    def evaluate(self, batch: Batch, *, keep_logits: bool = False) -> BatchPredictions:
        """Predict a batch in eval mode; the next step sets its own modes.

        Args:
            batch: The batch.
            keep_logits: Whether to return the logits too.

        Raises:
            OutOfMemory: memory ran out.
        """
        self.model.eval()
        try:
            return self._predict(batch, keep_logits)
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)
            raise OutOfMemory(
                "Evaluating a batch ran out of memory; a smaller --batch-size needs less."
            ) from None

    def _predict(self, batch: Batch, keep_logits: bool) -> BatchPredictions:
        with torch.no_grad():
            with self._autocast():
                logits = self.forward(batch.cut, batch.images.to(self.device))
            labels = batch.labels.to(self.device)
            return BatchPredictions.of(logits.float(), labels, keep_logits=keep_logits)

    # --- state ----------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return a copy of everything a step changes."""
        return Snapshot.of(self)

    def restore(self, snapshot: Snapshot) -> None:
        """Restore a snapshot bit for bit, in place."""
        snapshot.restore(self)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every parameter and buffer with its name in the state dict."""
        yield from self.model.named_parameters()
        yield from self.model.named_buffers()

"""One train step, evaluation, and the state that a step changes.

Read `Trainer.step` from top to bottom: it is the whole of training.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.data.batches import Batch, TrainBatches
from engine.data.samples import Sample
from engine.hardware.memory_errors import ran_out_of_memory
from engine.model import freezing
from engine.model.freezing import Mask
from engine.model.layer_stack import Cut, Stack
from engine.training.cuda_graphs import CudaGraphs
from engine.training.feature_cache import CacheUse, FeatureCache
from engine.training.forward_backward import PassResult, forward_backward
from engine.training.optimizer import RowOptimizer, State
from engine.training.probe import Measurement, Probe
from engine.training.step_backup import StepBackup
from engine.training.step_errors import (
    HalfUpdated,
    NotFinite,
    OutOfMemory,
    first_gradient,
    first_in_forward,
)
from tl_tui.protocol.config import Optimizer, Recipe
from tl_tui.protocol.layers import NormMode
from tl_tui.settings.recipe import base_rates

T = TypeVar("T")


@dataclass(frozen=True)
class StepResult:
    batch: Batch
    loss: float
    correct: int
    seconds: float
    measurement: Measurement | None
    memory_used: int | None
    cached_rows: int = 0
    """How many rows, from the first one, were not run: their activations were kept for each image
    of the batch."""
    captured: bool = False
    """It was replayed from a CUDA graph."""


@dataclass(frozen=True)
class BatchPredictions:
    """What the model says to a batch in eval mode, on the host; one entry an image."""

    predicted: list[int]
    probability: list[float]
    """Of the predicted class."""
    label_probability: list[float]
    loss: list[float]


@dataclass(frozen=True)
class Snapshot:
    """Everything a step changes, on the host; restored bit for bit."""

    tensors: dict[str, Tensor]
    """Parameters and buffers by name."""
    optimizer: Optimizer
    optimizer_state: State
    cpu_random: Tensor
    device_random: Tensor | None
    position: int
    applied: Mask


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
        """From where the last step ran."""
        self.batches = batches
        self.device = device
        self.probe = Probe(stack)
        self.spare: dict[Tensor, Tensor] = {}
        """For each buffer that a step has changed, a tensor to keep it in during the next one."""
        self.cuda_graphs: CudaGraphs | None = None
        """Where steps may be replayed from CUDA graphs; None takes all of them eagerly."""
        self.recipe = recipe
        self.rates = base_rates(recipe, stack.rows)
        """Base learning rate of each row; the schedule's factor comes with every step."""
        self.optimizer = RowOptimizer(stack, recipe)
        self.applied: Mask = frozenset()
        self.whole = True
        """False once an update has failed in its middle: the weights are of no step."""
        self._updating = False

    def set_recipe(self, recipe: Recipe) -> None:
        """Train with another recipe from the next step on.

        Another kind of optimizer begins without state; with the same kind, state stays. Rates set
        by hand stay if the recipe's rates do; other ones are for every row.
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
    ) -> StepResult:
        """Take one real train step: forward, loss, backward, optimizer.

        With nothing trainable only the forward pass is run and the loss is told.

        Args:
            mask: The trainable owners; applied before anything else.
            norm_modes: BatchNorms whose mode was switched by hand.
            measured: Let the probe watch.
            lr_factor: What the schedule multiplies every row's base rate with.
            cached: Run from the activations below the boundary where the feature cache can.
            replayed: It is one of many: replay it from a CUDA graph where there is one.

        Raises:
            OutOfMemory: there was not enough; everything is as before the step.
            NotFinite: the loss or a gradient is NaN or infinite; everything is as before the step.
            HalfUpdated: the update itself failed; the weights are of no use any more.
        """
        self.chosen = CacheUse(None, "")
        if cached and self.feature_cache is not None:
            self.chosen = self.feature_cache.choose(mask, norm_modes, self.recipe.augmentation)
        drifting = {owner for owner, mode in norm_modes.items() if mode == "train"}
        before = StepBackup.of(self, mask | drifting)
        self._updating = False
        try:
            batch = self._take(self.chosen.cut)
            images = batch.images.to(self.device, non_blocking=True)
            labels = batch.labels.to(self.device, non_blocking=True)
            self.apply(mask, norm_modes)
            self.optimizer.set_rates(self.rates, lr_factor)
            replay = (mask, frozenset(norm_modes.items())) if replayed else None
            return self._step(batch, images, labels, measured=measured, replay=replay)
        except Exception as error:
            refused = self._refused(error, before)
            if refused is not None and isinstance(error, NotFinite) and error.what != "gradient":
                forward = partial(self._run, batch.cut)
                what, owner = first_in_forward(self.stack, forward, images)
                before.put_back(self)
                refused = NotFinite(error.loss, what, owner)
        # Outside of `except`, for the exception holds the tensors.
        if isinstance(refused, OutOfMemory) and self._freed():
            return self.step(
                mask, norm_modes, measured=measured, lr_factor=lr_factor, cached=cached
            )
        raise refused

    def _freed(self) -> bool:
        """Give memory back to the device; whether there were graphs to drop, so that it is worth
        another try."""
        dropped = self.cuda_graphs is not None and self.cuda_graphs.drop()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return dropped

    def _step(
        self, batch: Batch, images: Tensor, labels: Tensor, *, measured: bool, replay: Hashable
    ) -> StepResult:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        began = time.perf_counter()
        passes = self._passes(batch.cut, images, labels, measured=measured, replay=replay)
        # A GPU is not waited for before the update, which it leaves out by itself if it must.
        gated = self.optimizer.gated
        numbers = [] if gated else passes.numbers.tolist()
        if not gated:
            self._check(numbers)
        mark = self.probe.mark if measured else lambda _: None
        if measured:
            self.probe.before_update()
        mark("update")
        if passes.learns:
            self.optimizer.make_room()
            self._updating = True
            self.optimizer.step(only_if_finite=passes.numbers if gated else None)
        mark("end")
        readings = None
        if measured:
            readings = self._if_memory_allows(lambda: self.probe.readings(passes.norms))
        if gated:  # here it waits for the device, for the one transfer of a step
            both = passes.numbers if readings is None else torch.cat([passes.numbers, readings])
            values = both.tolist()
            numbers, values = values[:3], values[3:]
            if not self._was_applied(numbers):
                readings = None
        else:
            values = [] if readings is None else readings.tolist()
        measurement = None
        if readings is not None:
            measurement = self._if_memory_allows(lambda: self.probe.measure(values))
        self._updating = False
        return StepResult(
            batch=batch,
            loss=numbers[0],
            correct=int(numbers[1]),
            seconds=time.perf_counter() - began,
            measurement=measurement,
            memory_used=passes.memory_used or self._memory_used(),
            cached_rows=self.feature_cache.rows_below(batch.cut)
            if self.feature_cache and not batch.executed
            else 0,
            captured=passes.captured,
        )

    def _take(self, cut: Cut | None) -> Batch:
        features = self.feature_cache
        if cut is None or features is None:
            return self.batches.take()
        bf16 = self.recipe.precision == "bf16"
        return self.batches.take_made(
            lambda samples, epoch: features.batch(cut, samples, epoch, bf16)
        )

    def _run(self, cut: Cut | None, values: Tensor) -> Tensor:
        """Logits for images, or for their activations at a cut."""
        return self.model(values) if cut is None else self.stack.run_from(cut, values)

    def _passes(
        self, cut: Cut | None, images: Tensor, labels: Tensor, *, measured: bool, replay: Hashable
    ) -> PassResult:
        """Forward and backward, eagerly or replayed."""

        def run(images: Tensor, labels: Tensor) -> PassResult:
            return forward_backward(
                partial(self._run, cut),
                images,
                labels,
                probe=self.probe,
                measured=measured,
                precision=self._precision(),
            )

        if self.cuda_graphs is None or replay is None:
            return run(images, labels)
        kind = (replay, cut.name if cut else None, self.recipe.precision)
        return self.cuda_graphs.take(kind, images, labels, measured=measured, run=run)

    def _check(self, numbers: list[float]) -> None:
        """
        Args:
            numbers: As `PassResult` has them, on the host.

        Raises:
            NotFinite: the loss or a gradient is NaN or infinite.
        """
        loss, _, gradients = numbers
        if not math.isfinite(loss):
            raise NotFinite(loss, "loss", None)
        if not math.isfinite(gradients):
            owner = first_gradient(self.stack)
            if owner is not None:  # else a sum of squares overflowed
                raise NotFinite(loss, "gradient", owner)

    def _was_applied(self, numbers: list[float]) -> bool:
        """Whether the device has updated the weights at once; it has when this returns.

        Raises:
            NotFinite: as `_check`; nothing has moved.
        """
        try:
            self._check(numbers)
        except NotFinite:
            self._updating = False
            raise
        if all(math.isfinite(number) for number in numbers):
            return True
        self.optimizer.step()
        return False

    @staticmethod
    def _if_memory_allows(look: Callable[[], T]) -> T | None:
        """What the probe reads off a step that was taken; without memory for it the step counts as
        one that was not measured."""
        try:
            return look()
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            return None

    def _memory_used(self) -> int | None:
        """Bytes allocated at the peak of the step; not by `max_memory_allocated`, which spends half
        a millisecond on everything else that the allocator knows."""
        if self.device.type != "cuda":
            return None
        known = torch.cuda.memory_stats_as_nested_dict(self.device)
        peak: int = known["allocated_bytes"]["all"]["peak"]
        return peak

    def _refused(self, error: Exception, before: StepBackup) -> Exception:
        """Put everything back after a step that failed; what is to be raised of it."""
        traceback.clear_frames(error.__traceback__)  # they hold activations
        if self._updating:
            self.whole = False
            failed = HalfUpdated(
                f"the update failed in its middle ({error}), so the weights are not those of any "
                "step"
            )
            failed.__cause__ = error
            return failed
        before.put_back(self)
        if ran_out_of_memory(error):
            return OutOfMemory(str(error).strip().splitlines()[0] if str(error) else "")
        return error

    def apply(self, mask: Mask, norm_modes: Mapping[int, NormMode]) -> None:
        """Make a mask real, between two steps.

        Gradients go first, so that nothing stale can move a layer that is frozen now.
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

    def _precision(self) -> torch.autocast:
        """Mixed precision, if the recipe has it; bfloat16 needs no scaling of the loss."""
        bf16 = self.recipe.precision == "bf16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16)

    # --- evaluation -----------------------------------------------------------------------------

    def held_out(self, samples: tuple[Sample, ...], batch_size: int) -> Iterator[Batch]:
        """Batches to evaluate on: activations if the last step ran from such, else images."""
        cut, features = self.chosen.cut, self.feature_cache
        if cut is None or features is None:
            yield from self.batches.decoder.batches(samples, batch_size)
            return
        bf16 = self.recipe.precision == "bf16"
        for first in range(0, len(samples), batch_size):
            yield features.batch(cut, samples[first : first + batch_size], 0, bf16)

    def evaluate(self, batch: Batch) -> BatchPredictions:
        """What the model says to a batch in eval mode.

        Nothing is changed; the next step sets its own modes.

        Raises:
            OutOfMemory: there was not enough.
        """
        self.model.eval()
        try:
            numbers = self._answers(batch)
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)
            raise OutOfMemory(
                "Evaluating a batch ran out of memory; a smaller --batch-size needs less."
            ) from None
        losses = numbers[2]
        return BatchPredictions(
            predicted=[int(value) for value in numbers[0]],
            probability=numbers[1],
            label_probability=torch.tensor(losses).neg().exp().tolist(),
            loss=losses,
        )

    def _answers(self, batch: Batch) -> list[list[float]]:
        with torch.no_grad():
            with self._precision():
                logits = self._run(batch.cut, batch.images.to(self.device))
            logits = logits.float()
            labels = batch.labels.to(self.device)
            sure, predicted = logits.softmax(1).max(1)
            loss = F.cross_entropy(logits, labels, reduction="none")
            return torch.stack([predicted.double(), sure.double(), loss.double()]).tolist()

    # --- state ----------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Everything a step changes."""
        return Snapshot(
            tensors={name: t.detach().to("cpu", copy=True) for name, t in self.tensors()},
            optimizer=self.optimizer.kind,
            optimizer_state=self.optimizer.state(),
            cpu_random=torch.get_rng_state(),
            device_random=torch.cuda.get_rng_state(self.device)
            if self.device.type == "cuda"
            else None,
            position=self.batches.position,
            applied=self.applied,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Put everything back as it was, bit for bit, into the existing tensors.

        The recipe stays; the state of another kind of optimizer cannot be used and is dropped.
        """
        self.optimizer.zero_grad()
        with torch.no_grad():
            for name, tensor in self.tensors():
                value = snapshot.tensors[name].to(tensor.device)
                if not freezing.same_bits(tensor, value):  # what is the same keeps its version
                    tensor.copy_(value)
        same = snapshot.optimizer == self.optimizer.kind
        self.optimizer.load(snapshot.optimizer_state if same else {})
        torch.set_rng_state(snapshot.cpu_random)
        if snapshot.device_random is not None:
            torch.cuda.set_rng_state(snapshot.device_random, self.device)
        self.batches.put_back(snapshot.position)
        self.applied = snapshot.applied

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter and buffer with its name in the state dict."""
        yield from self.model.named_parameters()
        yield from self.model.named_buffers()

"""One train step, evaluation, and the state that a step changes.

Read `Trainer.step` from top to bottom: it is the whole of training.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import freezing
from .data import Batch, TrainBatches
from .freezing import Mask
from .probe import Measurement, Probe
from .protocol import AuditFinding, NormMode
from .stack import Stack


@dataclass(frozen=True)
class StepResult:
    batch: Batch
    loss: float
    correct: int
    seconds: float
    measurement: Measurement | None
    memory_used: int | None


@dataclass(frozen=True)
class Snapshot:
    """Everything a step changes, on the host; restored bit for bit."""

    tensors: dict[str, Tensor]
    optimizer: dict
    cpu_random: Tensor
    device_random: Tensor | None
    position: int
    applied: Mask


class Trainer:
    """A model, its one optimizer, its batches, and the mask the last step ran with.

    The optimizer holds every parameter from the start, a group a row. A frozen parameter has no
    gradient (`grad is None`), so neither momentum nor weight decay moves it.
    """

    def __init__(
        self,
        stack: Stack,
        batches: TrainBatches,
        device: torch.device,
        *,
        lr_head: float,
        lr_pretrained: float,
        momentum: float,
        weight_decay: float,
    ) -> None:
        self.stack = stack
        self.model: nn.Module = stack.model
        self.batches = batches
        self.device = device
        self.probe = Probe(stack)
        self.optimizer = torch.optim.SGD(
            [
                {
                    "params": [p for owner in row.owners for p in stack.owners[owner].parameters],
                    "lr": lr_head if row.head else lr_pretrained,
                    "name": row.name,
                }
                for row in stack.rows
            ],
            lr=lr_head,
            momentum=momentum,
            weight_decay=weight_decay,
        )
        self.applied: Mask = frozenset()

    # --- the step -------------------------------------------------------------------------------

    def step(self, mask: Mask, norm_modes: Mapping[int, NormMode], *, measured: bool) -> StepResult:
        """Take one real train step: forward, loss, backward, optimizer.

        With nothing trainable only the forward pass is run and the loss is told.

        Args:
            mask: The trainable owners; applied before anything else.
            norm_modes: BatchNorms whose mode was switched by hand.
            measured: Let the probe watch.
        """
        batch = self.batches.take()
        images = batch.images.to(self.device, non_blocking=True)
        labels = batch.labels.to(self.device, non_blocking=True)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self.apply(mask, norm_modes)
        began = time.perf_counter()
        measurement = None
        mark = self.probe.mark if measured else lambda _: None
        with self.probe.watching() if measured else nullcontext():
            mark("forward")
            logits = self.model(images)
            loss = F.cross_entropy(logits, labels)
            mark("backward")
            if loss.requires_grad:
                loss.backward()
            mark("arrived")
            if measured:
                self.probe.before_update()
            mark("update")
            if loss.requires_grad:
                self.optimizer.step()
            mark("end")
        correct = (logits.detach().argmax(1) == labels).sum()
        if measured:
            measurement = self.probe.measure([loss, correct])
            loss_value, correct_value = measurement.extra
        else:
            # One transfer; this is the only place where the host waits for the device.
            loss_value, correct_value = torch.stack([loss.detach().double(), correct]).tolist()
        return StepResult(
            batch=batch,
            loss=loss_value,
            correct=int(correct_value),
            seconds=time.perf_counter() - began,
            measurement=measurement,
            memory_used=torch.cuda.max_memory_allocated(self.device)
            if self.device.type == "cuda"
            else None,
        )

    def apply(self, mask: Mask, norm_modes: Mapping[int, NormMode]) -> None:
        """Make a mask real, between two steps.

        Gradients go first, so that nothing stale can move a layer that is frozen now. The momentum
        of a layer that freezes is dropped; a thawed one gets new momentum before the step, so that
        running out of memory can hit forward or backward but never the middle of the update.
        """
        self.optimizer.zero_grad(set_to_none=True)
        for index, owner in enumerate(self.stack.owners):
            for parameter in owner.parameters:
                if index in mask and "momentum_buffer" not in self.optimizer.state[parameter]:
                    # Zeros give what SGD would make of the first gradient: buffer = gradient.
                    self.optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
                elif index not in mask:
                    self.optimizer.state.pop(parameter, None)
        freezing.set_requires_grad(self.stack, mask)
        freezing.set_modes(self.stack, mask, norm_modes)
        self.applied = mask

    # --- evaluation -----------------------------------------------------------------------------

    def evaluate(self, batch: Batch) -> tuple[int, float]:
        """How many images of a batch the model gets right in eval mode, and the sum of its losses.

        Nothing is changed; the next step sets its own modes.
        """
        self.model.eval()
        with torch.no_grad():
            logits = self.model(batch.images.to(self.device))
            labels = batch.labels.to(self.device)
            right = (logits.argmax(1) == labels).sum()
            loss = F.cross_entropy(logits, labels, reduction="sum")
            correct, lost = torch.stack([right.double(), loss.double()]).tolist()
        return int(correct), lost

    # --- state ----------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Everything a step changes."""
        return Snapshot(
            tensors={name: t.detach().to("cpu", copy=True) for name, t in self._tensors()},
            optimizer=_copied(self.optimizer.state_dict()),
            cpu_random=torch.get_rng_state(),
            device_random=torch.cuda.get_rng_state(self.device)
            if self.device.type == "cuda"
            else None,
            position=self.batches.position,
            applied=self.applied,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Put everything back as it was, bit for bit, into the existing tensors."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, tensor in self._tensors():
                tensor.copy_(snapshot.tensors[name])
        self.optimizer.load_state_dict(_copied(snapshot.optimizer))
        torch.set_rng_state(snapshot.cpu_random)
        if snapshot.device_random is not None:
            torch.cuda.set_rng_state(snapshot.device_random, self.device)
        self.batches.put_back(snapshot.position)
        self.applied = snapshot.applied

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.model.named_parameters()
        yield from self.model.named_buffers()

    # --- the audit ------------------------------------------------------------------------------

    def audit(
        self, mask: Mask, norm_modes: Mapping[int, NormMode]
    ) -> tuple[int, list[AuditFinding]]:
        """Does frozen mean frozen? One step is taken, frozen tensors compared, all put back.

        Returns:
            How many frozen tensors were compared, and those that changed, each with its cause.
        """
        kept = self.snapshot()
        frozen = freezing.frozen_tensors(self.stack, mask)
        before = {name: tensor.clone() for name, tensor in frozen.items()}
        self.step(mask, norm_modes, measured=False)
        changed = freezing.changed_tensors(before, freezing.frozen_tensors(self.stack, mask))
        findings = [
            AuditFinding(name, freezing.cause_of_change(self.stack, name)) for name in changed
        ]
        self.restore(kept)
        return len(before), findings


def _copied(optimizer_state: dict) -> dict:
    """An optimizer's state dict with its tensors copied, so that later steps leave it alone."""
    return {
        "state": {
            key: {
                name: value.clone() if isinstance(value, Tensor) else value
                for name, value in state.items()
            }
            for key, state in optimizer_state["state"].items()
        },
        "param_groups": [dict(group) for group in optimizer_state["param_groups"]],
    }

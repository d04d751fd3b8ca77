"""What a train step produces: on the device while it runs, and on the host afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.data.batches import Batch
from engine.training.norms import together
from engine.training.probe import Measurement


@dataclass(frozen=True)
class PassResult:
    """The result of a forward and a backward pass, still on the device."""

    numbers: Tensor
    """[3] in fp64: the loss, the number of correct predictions, and a number that is finite only if
    every gradient is. It may be infinite where no gradient is: a sum of squares can overflow."""
    norms: Mapping[Tensor, Tensor]
    """The L2 norm of the gradient of every parameter that has one."""
    learns: bool
    """Whether anything is trainable."""
    captured: bool = False
    """Whether the passes were replayed from a CUDA graph."""
    memory_used: int | None = None
    """Bytes allocated at the peak of a replayed graph."""

    @classmethod
    def of(
        cls, logits: Tensor, labels: Tensor, loss: Tensor, norms: Mapping[Tensor, Tensor]
    ) -> PassResult:
        """Collect a step's numbers without waiting for the device.

        Args:
            logits: [N, classes], from the forward pass.
            labels: [N].
            loss: The mean loss, after backward.
            norms: The L2 norm of the gradient of every parameter that has one.
        """
        correct = (logits.detach().argmax(1) == labels).sum()
        gradients = together(list(norms.values()), logits.device).sum()
        numbers = torch.stack([loss.detach().double(), correct.double(), gradients])
        return cls(numbers=numbers, norms=norms, learns=loss.requires_grad)


@dataclass(frozen=True)
class StepResult:
    """The result of a train step that was applied."""

    batch: Batch
    loss: float
    correct: int
    seconds: float
    measurement: Measurement | None
    memory_used: int | None
    cached_rows: int = 0
    """The number of rows, from the first one, that were not run: their activations were cached for
    every image of the batch."""
    captured: bool = False
    """Whether the step was replayed from a CUDA graph."""


@dataclass(frozen=True)
class BatchPredictions:
    """Predictions for a batch in eval mode, on the host; one entry per image."""

    predicted: list[int]
    probability: list[float]
    """Of the predicted class."""
    label_probability: list[float]
    loss: list[float]
    logits: Tensor | None = None
    """[N, classes], float32, on the CPU, if they were asked for."""

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor, *, keep_logits: bool) -> BatchPredictions:
        """Collect the predictions of a batch.

        Args:
            logits: [N, classes], float32.
            labels: [N].
            keep_logits: Whether the logits are wanted too.
        """
        probability, predicted = logits.softmax(1).max(1)
        loss = F.cross_entropy(logits, labels, reduction="none")
        numbers = torch.stack([predicted.double(), probability.double(), loss.double()])
        indices, probabilities, losses = numbers.tolist()
        return cls(
            predicted=[int(index) for index in indices],
            probability=probabilities,
            label_probability=torch.tensor(losses).neg().exp().tolist(),
            loss=losses,
            logits=logits.cpu() if keep_logits else None,
        )

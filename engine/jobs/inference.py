"""Inference with the model of a run: what predicting, evaluating and exporting have in common."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from engine.data.batches import Decoder
from engine.jobs.load import TrainedModel, load_model
from tl_tui.common.errors import Problem


def load_checked_model(run: str, checkpoint: str, device: torch.device) -> TrainedModel:
    """Load the model of a run and check that its weights are finite.

    Args:
        run: The directory of the run, its name, or the beginning of its name.
        checkpoint: The name of the checkpoint.
        device: The device to move the model to.

    Raises:
        Problem: there is no such run or checkpoint, it cannot be read, or a weight is not finite.
    """
    trained = load_model(run, checkpoint, device)
    for name, tensor in trained.model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise Problem(
                f"{trained.checkpoint}: {name} has values that are not finite. "
                f"{_other_checkpoints(trained)}"
            )
    return trained


def make_decoder(trained: TrainedModel) -> Decoder:
    """Return a decoder that applies the model's own transform."""
    threads = min(8, (os.cpu_count() or 2) + 2)
    return Decoder(trained.preset, threads, ranges=trained.ranges)


def compute_logits(trained: TrainedModel, images: Tensor) -> Tensor:
    """Run the model on a batch of images.

    Args:
        trained: The model.
        images: Preprocessed images, [N, 3, size, size].

    Returns:
        The logits, [N, classes], float32, on the CPU.

    Raises:
        Problem: an output is not finite.
    """
    device = next(trained.model.parameters()).device
    with torch.no_grad():
        logits = trained.model(images.to(device)).float().cpu()
    if not bool(torch.isfinite(logits).all()):
        raise Problem(
            f"{trained.checkpoint}: its outputs are not finite, although its weights are. "
            f"{_other_checkpoints(trained)}"
        )
    return logits


def _other_checkpoints(trained: TrainedModel) -> str:
    """Return a sentence with the run's other checkpoints, the same weights left out."""
    own = trained.checkpoint
    names = sorted(file.stem for file in own.parent.glob("*.safetensors") if not file.samefile(own))
    if not names:
        return (
            "The run has no other checkpoint; train again, with lower learning rates or from other "
            "weights."
        )
    return f"The run has other checkpoints: --checkpoint {' or '.join(names)}."

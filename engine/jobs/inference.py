"""A run's model asked about images: what predicting, evaluating and exporting have in common."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from engine.data.batches import Decoder
from engine.jobs.load import TrainedModel, load_model
from tl_tui.common.errors import Problem


def load_checked_model(run: str, checkpoint: str, device: torch.device) -> TrainedModel:
    """The model of a run, if its weights are numbers.

    Raises:
        Problem: there is no such run or checkpoint, it cannot be read, or training had broken it.
    """
    trained = load_model(run, checkpoint, device)
    for name, tensor in trained.model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise Problem(
                f"{trained.checkpoint}: {name} has values that are not finite, since the training "
                "went astray; name another --checkpoint."
            )
    return trained


def decoder_of(trained: TrainedModel) -> Decoder:
    """Decodes images as the model was trained on them."""
    return Decoder(trained.preset, threads=min(8, (os.cpu_count() or 2) + 2))


def logits(trained: TrainedModel, images: Tensor) -> Tensor:
    """What the model says to images.

    Args:
        trained: The model.
        images: [N, 3, size, size].

    Returns:
        [N, classes], float32, on the host.

    Raises:
        Problem: the weights are finite and an answer is not.
    """
    device = next(trained.model.parameters()).device
    with torch.no_grad():
        said = trained.model(images.to(device)).float().cpu()
    if not bool(torch.isfinite(said).all()):
        raise Problem(
            f"{trained.checkpoint}: its outputs are not finite, since the training went astray; "
            "name another --checkpoint."
        )
    return said

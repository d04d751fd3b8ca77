"""BatchNorm statistics for a model with random weights, estimated from images."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def calibrate(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Estimate every BatchNorm's statistics from images, for a model with random weights.

    A frozen BatchNorm in eval mode with untouched statistics lets activations explode: first loss
    7 for resnet50, 36,000 for resnet152. Nothing but the statistics is changed.

    Args:
        model: On its device.
        batches: Images [N, 3, size, size].

    Returns:
        How many images were used.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    training = {module: module.training for module in model.modules()}
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative mean over all batches
        norm.train()
    seen = 0
    with torch.no_grad():
        for images in batches:
            model(images)
            seen += len(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, mode in training.items():
        module.training = mode
    return seen

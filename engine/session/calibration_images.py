"""The training images from which BatchNorm statistics of random weights are estimated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from engine.data.train_batches import TrainBatches

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from engine.data.batches import Decoder
    from engine.data.samples import Sample

CALIBRATION_IMAGES = 128
"""The number of images used at most."""


def calibration_images(
    samples: tuple[Sample, ...],
    batch_size: int,
    seed: int,
    decoder: Decoder,
    device: torch.device,
    unreadable: Mapping[str, str],
) -> Iterator[Tensor]:
    """Return batches of images for `batchnorm_calibration.calibrate`.

    They are the first training batches of the seed. The run's own batches are not consumed.

    Args:
        samples: The training images.
        batch_size: Images per batch.
        seed: The session's seed.
        decoder: Decodes the images.
        device: Where the batches are moved to.
        unreadable: Why an image is known to be unreadable, by path.

    Yields:
        Images [N, 3, height, width], normalised.
    """
    batches = TrainBatches(samples, batch_size, seed, decoder, unreadable)
    count = max(1, min(CALIBRATION_IMAGES, batches.order.readable) // batch_size)
    for _ in range(count):
        yield batches.take().images.to(device)

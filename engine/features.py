"""Cached activations at the end of a frozen prefix: computed once an image, used in every epoch.

Exact as long as nothing below is random or changes: the prefix frozen and in eval mode, images
without augmentation. In fp32, on the same device, losses are those of the full forward.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .data import Batch, Decoder, Sample, TrainBatches
from .freezing import Mask
from .prediction import predict_owners
from .stack import Cut, Stack


def cut_of(stack: Stack, mask: Mask) -> Cut | None:
    """The last place before anything that the gradient reaches; None if there is none.

    Args:
        stack: The stack.
        mask: The trainable owners.
    """
    if stack.graph_module is None:
        return None
    reach = predict_owners([owner.parents for owner in stack.owners], mask)
    reached = {
        name
        for row in stack.rows
        if any(reach[owner] != "unreached" for owner in row.owners)
        for name, _ in row.modules
    }
    cuts = {cut.node: cut for cut in stack.cuts}
    best: Cut | None = None
    for node in stack.graph_module.graph.nodes:
        target = str(node.target)
        if node.op == "call_module" and target in reached:
            return best
        if node.op == "get_attr" and any(target.startswith(f"{name}.") for name in reached):
            return best
        best = cuts.get(node, best)
    return None  # nothing is reached: there is nothing to train from a cut


class Features:
    """The activation of each image at a cut, kept on the model's device."""

    def __init__(self, stack: Stack, cut: Cut, decoder: Decoder, device: torch.device) -> None:
        self.stack, self.cut, self.decoder, self.device = stack, cut, decoder, device
        self._kept: dict[str, Tensor | str] = {}
        """By path; why it could not be read, for an image that could not."""

    def batch(self, samples: tuple[Sample, ...], epoch: int) -> Batch:
        """These samples with activations [N, ...] in place of images; unreadable ones left out."""
        new = tuple(sample for sample in samples if sample.path not in self._kept)
        if new:
            self._compute(new)
        kept, skipped = [], []
        for sample in samples:
            feature = self._kept[sample.path]
            if isinstance(feature, str):
                skipped.append((sample, feature))
            else:
                kept.append((sample, feature))
        return Batch(
            torch.stack([feature for _, feature in kept]) if kept else torch.empty(0),
            torch.tensor([sample.label for sample, _ in kept], dtype=torch.int64),
            epoch,
            tuple(skipped),
            samples=tuple(sample for sample, _ in kept),
        )

    def _compute(self, samples: tuple[Sample, ...]) -> None:
        batch = self.decoder.collect(samples, self.decoder.submit(samples), 0)
        for sample, reason in batch.skipped:
            self._kept[sample.path] = reason
        if not len(batch.labels):
            return
        self.stack.model.eval()
        with torch.no_grad():  # not inference mode: what it makes cannot be saved for backward
            features = self.stack.run_to(self.cut, batch.images.to(self.device))
        for sample, feature in zip(batch.samples, features, strict=True):
            self._kept[sample.path] = feature.clone()


class FeatureBatches:
    """Training batches as `TrainBatches` orders them, with activations in place of images."""

    def __init__(self, batches: TrainBatches, features: Features) -> None:
        """
        Args:
            batches: The `TrainBatches` that decides the order.
            features: Where activations come from.
        """
        self.ordered, self.features = batches, features

    @property
    def position(self) -> int:
        return self.ordered.position

    def take(self) -> Batch:
        """The coming batch; the cursor moves on."""
        batch = self.ordered.first_usable(self._at)
        self.ordered.put_back(self.ordered.position + 1)
        return batch

    def _at(self, position: int) -> Batch:
        epoch = position // self.ordered.batches_per_epoch + 1
        return self.features.batch(self.ordered.samples_at(position), epoch)

    def put_back(self, position: int) -> None:
        self.ordered.put_back(position)

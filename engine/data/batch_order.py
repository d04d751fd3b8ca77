"""The order of the training images: which images each batch has.

It depends only on the seed, the epoch and which images can be read, not on what ran before. Without
unreadable images, a batch is a slice of the epoch's random order. Unreadable images are left out
of the order before it is sliced, so that every batch but the last is full, and an epoch is one pass
over the images that can be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from engine.data.augmentation import combine_seeds
from engine.data.samples import Sample


class Cursor(NamedTuple):
    """A position between two batches."""

    epoch: int
    """The number of epochs before it."""
    number: int
    """The number of batches of this epoch before it."""


class Draw(NamedTuple):
    """An image in the order of an epoch."""

    sample: int
    """Index of the sample."""
    repeat: int
    """How often this epoch has drawn it before."""


class BatchOrder:
    """The images of each batch of each epoch.

    A last batch of one image is merged into the batch before it, because BatchNorm cannot
    normalise over a single small image.
    """

    def __init__(
        self, samples: tuple[Sample, ...], batch_size: int, seed: int, unreadable: Iterable[int]
    ) -> None:
        """
        Args:
            samples: The training images.
            batch_size: Images per batch.
            seed: Random seed.
            unreadable: Indices of the images that are known to be unreadable.
        """
        self.samples, self.batch_size, self.seed = samples, batch_size, seed
        self.balance = False
        """Whether every class is drawn equally often; `reset` applies a change."""
        self._readable = torch.ones(len(samples), dtype=torch.bool)
        self._drawn: tuple[int, Tensor] | None = None
        """An epoch, counted from 0, and all its draws, [draws, 2]."""
        self._kept: Tensor | None = None
        """The draws of this epoch without unreadable images, [draws, 2]."""
        self.readable = 0
        """The number of images that are not known to be unreadable."""
        self.exclude(unreadable)

    def exclude(self, indices: Iterable[int]) -> None:
        """Leave images out of all batches from now on."""
        for index in indices:
            self._readable[index] = False
        self.readable = int(self._readable.sum())
        self._kept = None

    def reset(self) -> None:
        """Draw epochs anew, with the current `balance`."""
        self._drawn = self._kept = None

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches in every later epoch, as far as unreadable images are known."""
        return self._count_batches(self.readable)

    def batches_in(self, epoch: int) -> int:
        """Return the number of batches of an epoch, counted from 0."""
        if not self.balance:
            return self.batches_per_epoch
        return self._count_batches(len(self._draws_of(epoch)))

    def draws(self, cursor: Cursor) -> list[Draw]:
        """Return the draws of the batch after a position."""
        order = self._draws_of(cursor.epoch)
        first = cursor.number * self.batch_size
        last = cursor.number >= self._count_batches(len(order)) - 1
        part = order[first:] if last else order[first : first + self.batch_size]
        return [Draw(index, repeat) for index, repeat in part.tolist()]

    def draws_after(self, cursor: Cursor, count: int) -> list[Draw]:
        """Return the first draws of the same epoch that follow the batch after a position."""
        order = self._draws_of(cursor.epoch)
        if cursor.number >= self._count_batches(len(order)) - 1:
            return []
        first = (cursor.number + 1) * self.batch_size
        return [Draw(index, repeat) for index, repeat in order[first : first + count].tolist()]

    def cursor_at(self, epoch: int, drawn: int) -> Cursor:
        """Return the position of the batch with a draw.

        Args:
            epoch: The epoch, counted from 0.
            drawn: The number of draws before it, those of unreadable images included.
        """
        before = self._all_draws_of(epoch)[:drawn, 0]
        return Cursor(epoch, int(self._readable[before].sum()) // self.batch_size)

    def _count_batches(self, draws: int) -> int:
        count, rest = divmod(draws, self.batch_size)
        return max(1, count + (1 if rest > 1 else 0))

    # --- drawing --------------------------------------------------------------------------------

    def _draws_of(self, epoch: int) -> Tensor:
        """Return the draws of an epoch without unreadable images, [draws, 2]."""
        draws = self._all_draws_of(epoch)
        if self._kept is None:
            every = self.readable == len(self.samples)
            self._kept = draws if every else draws[self._readable[draws[:, 0]]]
        return self._kept

    def _all_draws_of(self, epoch: int) -> Tensor:
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn, self._kept = (epoch, self._draw(epoch)), None
        return self._drawn[1]

    def _draw(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(combine_seeds(self.seed, epoch))
        if self.balance:
            return self._draw_balanced(generator)
        # All images are drawn, so that the order of the others is the same without some of them.
        order = torch.randperm(len(self.samples), generator=generator)
        return torch.stack([order, torch.zeros_like(order)], dim=1)

    def _draw_balanced(self, generator: torch.Generator) -> Tensor:
        """Return as many draws as there are readable images, equally many for every class.

        No image of a class is repeated before all of its images were drawn equally often. A class
        with more images than draws gets different images every epoch.
        """
        labels = torch.tensor([sample.label for sample in self.samples])
        classes = labels[self._readable].unique().tolist()
        total = self.readable
        # Give the remainder of the division to different classes every epoch.
        extra = torch.randperm(len(classes), generator=generator)[: total % len(classes)].tolist()
        draws = []
        for number, label in enumerate(classes):
            indices = ((labels == label) & self._readable).nonzero().flatten()
            count = total // len(classes) + (number in extra)
            rounds = -(-count // len(indices))
            keys = torch.rand(rounds, len(indices), generator=generator, dtype=torch.float64)
            order = indices[keys.argsort(dim=1, stable=True).flatten()]
            repeat = torch.arange(rounds).repeat_interleave(len(indices))
            draws.append(torch.stack([order, repeat], dim=1)[:count])
        all_draws = torch.cat(draws)
        return all_draws[torch.randperm(len(all_draws), generator=generator)]

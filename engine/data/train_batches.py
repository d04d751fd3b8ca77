"""The sequence of training batches: what is in each, decoding ahead, and unreadable images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace

from torch import Tensor
from torchvision.transforms._presets import ImageClassification

from engine.data.augmentation import Augmentation
from engine.data.batch_order import BatchOrder, Cursor, Draw
from engine.data.batches import Batch, Decoder
from engine.data.decoding import Transform, UnreadableImage
from engine.data.samples import DataProblem, Sample, printable


class EpochOver(Exception):
    """The current epoch has no more batches, because its last images cannot be read any more."""


class TrainBatches:
    """The sequence of training batches, with a cursor that can be saved and restored.

    Batches are made of the images that can be read: where one turns out to be unreadable, the next
    images of the epoch move up. See `BatchOrder` for what is in a batch.
    """

    def __init__(
        self,
        samples: tuple[Sample, ...],
        batch_size: int,
        seed: int,
        decoder: Decoder,
        unreadable: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            samples: The training images.
            batch_size: Images per batch.
            seed: Random seed for the order and the augmentation.
            decoder: Decodes the images.
            unreadable: Why an image is known to be unreadable, by path.
        """
        self.samples = samples
        self.batch_size = batch_size
        self.seed = seed
        self.decoder = decoder
        known = unreadable or {}
        self.unreadable = {
            index: known[sample.path]
            for index, sample in enumerate(samples)
            if sample.path in known
        }
        """Why an image cannot be read, by its index, in the order in which that was found."""
        self.order = BatchOrder(samples, batch_size, seed, self.unreadable)
        self.cursor = Cursor(0, 0)
        """The position of the next batch."""
        self._readable: set[int] = set()
        """Indices of the images that have been read."""
        self._unreported = list(self.unreadable)
        """Indices of the unreadable images that no batch has named yet."""
        self._augmentation: Augmentation | None = None
        self._configured = ("none", False)
        self._ahead: dict[tuple[int, Draw], Future[Tensor]] = {}
        """The images decoded ahead, by epoch and draw."""

    def configure(self, *, augmentation: str, balance: bool) -> None:
        """Set how batches are made, starting with the next one.

        Args:
            augmentation: `none`, `light` or `standard`.
            balance: Whether to draw every class equally often.

        Raises:
            TypeError: The decoder's transform is not a torchvision preset, which augmentation
                needs.
        """
        if (augmentation, balance) == self._configured:
            return  # keep the batches decoded ahead
        self._configured = (augmentation, balance)
        self._augmentation = None
        if augmentation != "none":
            preset = self.decoder.transform
            if not isinstance(preset, ImageClassification):
                raise TypeError("augmentation needs a torchvision preset as the transform")
            self._augmentation = Augmentation(augmentation, preset, self.seed)  # type: ignore[arg-type]
        self._drop_ahead()
        if balance != self.order.balance:
            self.order.balance = balance
            self.order.reset()

    # --- the cursor -----------------------------------------------------------------------------

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches in an epoch, as far as unreadable images are known."""
        return self.order.batches_per_epoch

    @property
    def position(self) -> int:
        """The position of the next batch as a number of batches, if every epoch has as many."""
        return self.cursor.epoch * self.batches_per_epoch + self.cursor.number

    @property
    def left_in_epoch(self) -> int:
        """The number of batches until the current epoch ends; a whole epoch between two epochs."""
        return self.order.batches_in(self.cursor.epoch) - self.cursor.number

    def samples_at(self, position: int) -> tuple[Sample, ...]:
        """Return the samples of a batch, without those that are known to be unreadable.

        Args:
            position: The number of batches before it since the start of the session.
        """
        draws = self.order.draws(Cursor(*divmod(position, self.batches_per_epoch)))
        return tuple(self.samples[index] for index, _ in draws)

    def put_back(self, cursor: Cursor) -> None:
        """Set the cursor to an earlier position."""
        self.cursor = cursor
        self._end_epoch()
        # A batch that named unreadable images may be undone, so they are named again.
        self._unreported = list(self.unreadable)

    def exclude(self, unreadable: Mapping[int, str]) -> None:
        """Leave images out of all batches from the cursor on.

        Args:
            unreadable: Why an image cannot be read, by its index.
        """
        new = {index: why for index, why in unreadable.items() if index not in self.unreadable}
        self.unreadable |= new
        self._unreported += new
        self.order.exclude(new)
        self._end_epoch()

    def _end_epoch(self) -> None:
        """Move the cursor to the next epoch if the current one has no more batches."""
        epoch, number = self.cursor
        if number and number >= self.order.batches_in(epoch):
            self.cursor = Cursor(epoch + 1, 0)

    # --- making batches -------------------------------------------------------------------------

    def peek(self) -> Batch:
        """Return the next batch without consuming it.

        Raises:
            DataProblem: Fewer than two training images can be read.
        """
        return self._make_readable(self._decode)

    def take(self, *, within_epoch: bool = False) -> Batch:
        """Return the next batch, advance the cursor, and start decoding the batch after it.

        The `skipped` of the batch are the unreadable images that no batch has named before.

        Args:
            within_epoch: Whether to raise `EpochOver` rather than to begin another epoch where this
                one had a batch left.

        Raises:
            DataProblem: Fewer than two training images can be read.
            EpochOver: The images of the rest of the epoch cannot be read any more.
        """
        batch = self._advance(self._make_readable(self._decode, within_epoch=within_epoch))
        self._decode_ahead()
        return batch

    def take_made(
        self, make: Callable[[tuple[Sample, ...], int], Batch], *, within_epoch: bool = False
    ) -> Batch:
        """Return the next batch, made by a function instead of by decoding; advance the cursor.

        Args:
            make: Returns a batch for samples and an epoch, counted from 1, without those that
                cannot be read.
            within_epoch: As for `take`.

        Raises:
            DataProblem: Fewer than two training images can be read.
            EpochOver: The images of the rest of the epoch cannot be read any more.
        """
        batch = self._advance(
            self._make_readable(
                lambda epoch, draws: make(
                    tuple(self.samples[draw.sample] for draw in draws), epoch + 1
                ),
                within_epoch=within_epoch,
            )
        )
        self._drop_ahead()
        return batch

    def _advance(self, batch: Batch) -> Batch:
        skipped = tuple((self.samples[i], self.unreadable[i]) for i in self._unreported)
        self._unreported = []
        self.cursor = self.cursor._replace(number=self.cursor.number + 1)
        self._end_epoch()
        return replace(batch, skipped=skipped)

    def _make_readable(
        self, make: Callable[[int, list[Draw]], Batch], *, within_epoch: bool = False
    ) -> Batch:
        """Return the batch at the cursor, made again until every image in it can be read.

        Args:
            make: Returns a batch for an epoch, counted from 0, and draws.
            within_epoch: As for `take`.
        """
        while True:
            self._require_two()
            cursor = self.cursor
            draws = self.order.draws(cursor)
            self._start(cursor.epoch, self._unread_after(cursor))
            batch = make(cursor.epoch, draws)
            reasons = {sample.path: reason for sample, reason in batch.skipped}
            found = {
                index: reasons[path]
                for index, _ in draws
                if (path := self.samples[index].path) in reasons
            }
            self._readable.update(index for index, _ in draws if index not in found)
            found |= self._unreadable_after(cursor)
            if not found:
                return batch
            self.exclude(found)
            if within_epoch and self.cursor.epoch != cursor.epoch:
                raise EpochOver

    def _require_two(self) -> None:
        if self.order.readable >= min(2, len(self.samples)):
            return
        index, reason = next(iter(self.unreadable.items()))
        raise DataProblem(
            f"{len(self.unreadable)} of {len(self.samples)} training images cannot be read, and "
            "training needs at least two. Check the folder; the first such image is "
            f"{printable(self.samples[index].path)}: {reason}."
        )

    def _unread_after(self, cursor: Cursor) -> list[Draw]:
        """Return the two draws that follow a batch, unless both images have been read before.

        Whether the batch takes in a single image that is left after it depends on them.
        """
        draws = self.order.draws_after(cursor, 2)
        return draws if any(index not in self._readable for index, _ in draws) else []

    def _unreadable_after(self, cursor: Cursor) -> dict[int, str]:
        """Return which of the two images that follow a batch cannot be read, and why."""
        found: dict[int, str] = {}
        draws = self._unread_after(cursor)
        for draw, future in zip(draws, self._start(cursor.epoch, draws), strict=True):
            try:
                future.result()
                self._readable.add(draw.sample)
            except UnreadableImage as error:
                found[draw.sample] = printable(str(error))
        return found

    # --- decoding -------------------------------------------------------------------------------

    def _decode(self, epoch: int, draws: list[Draw]) -> Batch:
        samples = tuple(self.samples[index] for index, _ in draws)
        return self.decoder.collect(samples, self._start(epoch, draws), epoch + 1)

    def _decode_ahead(self) -> None:
        """Start decoding the next batch, and forget what was decoded for other batches."""
        cursor = self.cursor
        draws = [*self.order.draws(cursor), *self._unread_after(cursor)]
        self._cancel(self._ahead.keys() - {(cursor.epoch, draw) for draw in draws})
        self._start(cursor.epoch, draws)

    def _start(self, epoch: int, draws: Sequence[Draw]) -> list[Future[Tensor]]:
        """Start decoding the images of draws, unless that has begun; return their futures."""
        new = [draw for draw in draws if (epoch, draw) not in self._ahead]
        if new:
            samples = [self.samples[index] for index, _ in new]
            augment = self._augmentation
            transforms = None
            if augment is not None:
                transforms = [_bind_augmentation(augment, epoch + 1, *draw) for draw in new]
            futures = self.decoder.submit(samples, transforms)
            self._ahead |= zip(((epoch, draw) for draw in new), futures, strict=True)
        return [self._ahead[epoch, draw] for draw in draws]

    def _drop_ahead(self) -> None:
        """Discard everything that was decoded ahead, and cancel pending work."""
        self._cancel(set(self._ahead))

    def _cancel(self, keys: Iterable[tuple[int, Draw]]) -> None:
        for key in keys:
            self._ahead.pop(key).cancel()


def _bind_augmentation(augment: Augmentation, epoch: int, index: int, repeat: int) -> Transform:
    return lambda image: augment(image, epoch, index, repeat)

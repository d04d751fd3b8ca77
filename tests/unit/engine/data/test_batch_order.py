"""Batches are made of what can be read, whenever it is found out what cannot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.data.batch_order import Cursor
from engine.data.batches import Decoder
from engine.data.decoding import Transform, UnreadableImage
from engine.data.samples import DataProblem, Sample
from engine.data.train_batches import EpochOver, TrainBatches


class InstantDecoder(Decoder):
    """Decodes nothing: images whose path is in `broken` are unreadable, the others are zeros."""

    def __init__(self, broken: Iterable[str]) -> None:
        super().__init__(lambda image: torch.zeros(3, 1, 1), threads=1)
        self.broken = set(broken)

    def submit(
        self, samples: Sequence[Sample], transforms: Sequence[Transform] | None = None
    ) -> list[Future[Tensor]]:
        futures: list[Future[Tensor]] = []
        for sample in samples:
            futures.append(Future())
            if sample.path in self.broken:
                futures[-1].set_exception(UnreadableImage("it is made up"))
            else:
                futures[-1].set_result(torch.zeros(3, 1, 1))
        return futures


@st.composite
def datasets(draw: st.DrawFn) -> tuple[tuple[Sample, ...], set[str], set[str], int, int]:
    """Samples of two classes, the unreadable ones, those known from the start, size and seed."""
    count = draw(st.integers(4, 24))
    samples = tuple(Sample(str(number), number % 2) for number in range(count))
    readable = draw(st.integers(2, count))
    broken = {sample.path for sample in draw(st.permutations(samples))[readable:]}
    known = {path for path in sorted(broken) if draw(st.booleans())}
    return samples, broken, known, draw(st.integers(2, 7)), draw(st.integers(0, 3))


def batches_of(
    samples: tuple[Sample, ...], broken: set[str], known: set[str], size: int, seed: int
) -> TrainBatches:
    decoder = InstantDecoder(broken)
    return TrainBatches(samples, size, seed, decoder, dict.fromkeys(known, "it is made up"))


def paths(batches: TrainBatches, count: int) -> list[list[str]]:
    return [[sample.path for sample in batches.take().samples] for _ in range(count)]


@settings(max_examples=30)
@given(datasets())
def test_batches_do_not_depend_on_when_unreadable_images_are_found(drawn) -> None:
    samples, broken, known, size, seed = drawn
    informed = batches_of(samples, broken, broken, size, seed)
    surprised = batches_of(samples, broken, known, size, seed)
    per_epoch = informed.batches_per_epoch
    both = [paths(batches, 3 * per_epoch) for batches in (informed, surprised)]
    assert both[0] == both[1]
    assert informed.cursor == surprised.cursor == (3, 0)
    assert surprised.batches_per_epoch == per_epoch


@settings(max_examples=30)
@given(datasets(), st.booleans())
def test_an_epoch_is_one_pass_over_the_readable_images(drawn, cached: bool) -> None:
    samples, broken, known, size, seed = drawn
    batches = batches_of(samples, broken, known, size, seed)
    decoder = batches.decoder

    def made(part: tuple[Sample, ...], epoch: int):
        return decoder.collect(part, decoder.submit(part), epoch)

    for epoch in range(1, 4):
        seen: list[str] = []
        while batches.cursor.epoch < epoch:
            batch = batches.take_made(made) if cached else batches.take()
            assert batch.epoch == epoch and len(batch.samples) > 1
            seen += [sample.path for sample in batch.samples]
        assert sorted(seen) == sorted({sample.path for sample in samples} - broken)


@settings(max_examples=30)
@given(datasets())
def test_every_unreadable_image_is_named_in_the_first_epoch_and_once(drawn) -> None:
    samples, broken, known, size, seed = drawn
    batches = batches_of(samples, broken, known, size, seed)
    named: list[str] = []
    while batches.cursor.epoch < 2:
        named += [sample.path for sample, _ in batches.take().skipped]
        if batches.cursor == (1, 0):
            assert sorted(named) == sorted(broken)
    assert sorted(named) == sorted(broken)


@settings(max_examples=30)
@given(datasets())
def test_a_restored_cursor_continues_with_the_same_batches(drawn) -> None:
    samples, broken, known, size, seed = drawn
    whole = batches_of(samples, broken, known, size, seed)
    total = 2 * batches_of(samples, broken, broken, size, seed).batches_per_epoch
    first = paths(whole, total // 2)
    cursor, found = whole.cursor, dict(whole.unreadable)
    rest = paths(whole, total - len(first))
    resumed = batches_of(samples, broken, set(), size, seed)
    resumed.exclude(found)
    resumed.put_back(cursor)
    assert paths(resumed, len(rest)) == rest


@settings(max_examples=30)
@given(datasets())
def test_a_balanced_epoch_has_as_many_draws_as_readable_images(drawn) -> None:
    samples, broken, _, size, seed = drawn
    batches = batches_of(samples, broken, broken, size, seed)
    batches.configure(augmentation="none", balance=True)
    labels: list[int] = []
    while batches.cursor.epoch < 1:
        labels += batches.take().labels.tolist()
    readable = [sample for sample in samples if sample.path not in broken]
    assert len(labels) == len(readable)
    if {sample.label for sample in readable} == {0, 1}:
        assert abs(labels.count(0) - labels.count(1)) <= 1


def test_images_that_disappear_leave_shorter_epochs() -> None:
    samples = tuple(Sample(str(number), number % 2) for number in range(20))
    batches = batches_of(samples, set(), set(), 4, 0)
    paths(batches, 7)
    assert (batches.cursor, batches.left_in_epoch) == ((1, 2), 3)
    gone = {s.path for position in (8, 9) for s in batches.samples_at(position)}
    batches.decoder.broken |= gone  # type: ignore[attr-defined]
    assert len(batches.take(within_epoch=True).samples) == 4
    with pytest.raises(EpochOver):
        batches.take(within_epoch=True)
    assert (batches.cursor, batches.batches_per_epoch, batches.position) == ((2, 0), 3, 6)
    assert batches.take(within_epoch=True).epoch == 3


def test_an_old_position_is_found_among_the_readable_images() -> None:
    samples = tuple(Sample(str(number), 0) for number in range(12))
    order = [s.path for s in batches_of(samples, set(), set(), 12, 0).samples_at(0)]
    broken = set(order[:6:2])
    batches = batches_of(samples, broken, broken, 3, 0)
    assert batches.order.cursor_at(0, 6) == Cursor(0, 1)
    assert batches.order.cursor_at(0, 12) == Cursor(0, 3)


def test_training_needs_two_readable_images() -> None:
    samples = tuple(Sample(str(number), 0) for number in range(5))
    batches = batches_of(samples, {"0", "1", "2", "3"}, {"3"}, 2, 0)
    with pytest.raises(DataProblem, match="4 of 5 training images cannot be read") as caught:
        batches.take()
    assert "it is made up" in str(caught.value)

"""A value that is not finite is found where it is, with the feature cache and without."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torchvision.transforms._presets import ImageClassification

from engine.data.batches import Decoder
from engine.data.samples import Sample
from engine.data.train_batches import TrainBatches
from engine.model.layer_stack import Stack
from engine.session.step_failure_event import not_finite_sentence
from engine.training.feature_cache import FeatureCache
from engine.training.step_errors import NotFinite
from engine.training.trainer import Trainer
from tests.support.driven_session import draw_images
from tests.support.plain_training import SGD, small_resnet
from tl_tui.protocol.config import Recipe

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    folder = draw_images(tmp_path_factory.mktemp("images"), train=4, val=0, size=32)
    paths = sorted(folder.glob("train/*/*.png"))
    return tuple(Sample(str(path), int(path.parent.name == "light")) for path in paths)


@pytest.fixture
def trainer(samples: tuple[Sample, ...]) -> Iterator[Trainer]:
    decoder = Decoder(ImageClassification(crop_size=32, resize_size=32), threads=1)
    stack = Stack(small_resnet(), torch.zeros(1, 3, 32, 32))
    features = FeatureCache(
        stack,
        decoder,
        CPU,
        images=len(samples),
        image_size=64,
        memory=lambda: 1 << 30,
        folder=Path("nowhere"),
    )
    recipe = Recipe(lr_head=0.01, lr_pretrained=0.001, **SGD)
    yield Trainer(stack, TrainBatches(samples, 4, 0, decoder), CPU, recipe, features)
    decoder.close()


def a_nan_weight(trainer: Trainer) -> None:
    with torch.no_grad():
        trainer.model.layer3[0].conv1.weight[0, 0, 0, 0] = math.nan  # type: ignore[union-attr, index]


def an_infinite_output(trainer: Trainer) -> None:
    with torch.no_grad():
        trainer.model.layer2[0].conv1.weight.fill_(3e38)  # type: ignore[union-attr, index]


def a_broken_cache(trainer: Trainer) -> None:
    assert trainer.feature_cache is not None
    for entry in trainer.feature_cache._entries.values():
        assert entry.store is not None
        entry.store.get = lambda rows: torch.full((len(rows), 512), math.nan)  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize(
    ("break_it", "what", "where", "cached"),
    [
        (a_nan_weight, "weights", "layer3.0.conv1", True),
        (a_nan_weight, "weights", "layer3.0.conv1", False),
        (an_infinite_output, "output", "layer2.0.conv1", True),
        (an_infinite_output, "output", "layer2.0.conv1", False),
        (a_broken_cache, "cache", None, True),
    ],
)
def test_a_frozen_layer_is_named_and_not_the_images(
    break_it: Callable[[Trainer], None],
    what: str,
    where: str | None,
    cached: bool,
    trainer: Trainer,
) -> None:
    head = frozenset([len(trainer.stack.owners) - 1])
    for _ in range(2):  # two epochs of two batches would hit the cache
        trainer.step(head, {}, measured=False, cached=cached)
    break_it(trainer)
    with pytest.raises(NotFinite) as caught:
        for _ in range(2):
            trainer.step(head, {}, measured=False, cached=cached)
    owner = caught.value.owner
    name = None if owner is None else trainer.stack.owners[owner].name
    assert (caught.value.what, name) == (what, where)
    assert (trainer.chosen.cut is not None) == cached


def test_an_image_that_is_not_finite_is_named(trainer: Trainer) -> None:
    take = trainer.batches.take

    def broken(*given, **named):  # type: ignore[no-untyped-def]
        batch = take(*given, **named)
        batch.images[1, 0, 0, 0] = math.inf
        return batch

    trainer.batches.take = broken  # type: ignore[method-assign]
    with pytest.raises(NotFinite) as caught:
        trainer.step(frozenset([0]), {}, measured=False)
    assert caught.value.what == "images" and Path(caught.value.path).is_file()
    sentence = not_finite_sentence(caught.value, 1, "", "", "images")
    assert f"values of the image {caught.value.path} are not finite" in sentence

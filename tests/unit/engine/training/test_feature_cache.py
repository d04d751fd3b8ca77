"""Training with the feature cache equals training without, whatever is toggled or restored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor, nn
from torchvision.transforms._presets import ImageClassification

from engine.data.batches import Decoder
from engine.data.samples import Sample
from engine.data.train_batches import TrainBatches
from engine.model.layer_stack import Stack
from engine.training.feature_cache import FeatureCache
from engine.training.trainer import Trainer
from tests.support.driven_session import DrivenSession, draw_images
from tests.support.property_tests import examples
from tl_tui.protocol.commands import (
    RestoreLayer,
    SetMask,
    SetRecipe,
    StartOver,
    Step,
    Train,
    UndoStartOver,
)
from tl_tui.protocol.config import Recipe
from tl_tui.protocol.training import FeatureCacheReported, StepTaken, Validated

thorough = pytest.mark.thorough

CPU = torch.device("cpu")
RECIPE = Recipe(lr_head=0.05, lr_pretrained=0.02, weight_decay=1e-4, optimizer="sgd")


class Small(nn.Module):
    """A residual network with BatchNorm and dropout, fast enough for thousands of steps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6)
        self.layer1 = nn.Sequential(Block(6), Block(6))
        self.layer2 = nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(True))
        self.dropout = nn.Dropout(0.3)
        self.fc = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x)))))
        return self.fc(self.dropout(x.mean((2, 3))))


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn(self.conv(x))
        out += x
        return self.relu(out)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    folder = draw_images(tmp_path_factory.mktemp("images"), train=7, val=0, size=24)
    paths = sorted(folder.glob("train/*/*.png"))
    return tuple(Sample(str(path), int(path.parent.name == "light")) for path in paths)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(ImageClassification(crop_size=24, resize_size=24), threads=1)
    yield decoder
    decoder.close()


def trainer(samples: tuple[Sample, ...], decoder: Decoder, **cache: Any) -> Trainer:
    torch.manual_seed(3)
    stack = Stack(Small(), torch.zeros(1, 3, 24, 24))
    given = {"memory": lambda: 1 << 30, "folder": Path("nowhere"), "image_size": 24} | cache
    features = FeatureCache(stack, decoder, CPU, images=len(samples), **given)
    return Trainer(stack, TrainBatches(samples, 4, 0, decoder), CPU, RECIPE, features)


OWNERS = 9
NORMS = (1, 3, 5, 7)
masks = st.one_of(
    # Mostly masks with a frozen prefix, because only these use the cache.
    st.sampled_from([8, 8, 8, 6, 6, 4, 2, 0]).map(lambda lowest: frozenset(range(lowest, OWNERS))),
    st.frozensets(st.integers(0, OWNERS - 1)),
)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("train"), masks, st.integers(2, 6)),
        st.tuples(st.just("train"), masks, st.integers(2, 6)),
        st.tuples(st.just("eager"), masks, st.just(1)),
        st.tuples(st.just("write"), st.integers(0, OWNERS - 1), st.just(0)),
        st.tuples(st.just("drift"), st.sampled_from(NORMS), st.just(0)),
        st.tuples(st.just("back"), st.just(0), st.just(0)),
        st.tuples(st.just("evaluate"), st.just(0), st.just(0)),
    ),
    max_size=8,
)
memory_limits = st.sampled_from([1 << 30, 4000, 0])
"""Limits for which activations are kept in memory, in memory and a file, or only in a file."""


@settings(
    max_examples=examples(20, 60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(sequence=actions, memory_limit=memory_limits)
def test_cached_training_equals_uncached_training(
    samples: tuple[Sample, ...],
    decoder: Decoder,
    tmp_path: Path,
    sequence: list[tuple],
    memory_limit: int,
) -> None:
    """Any sequence of masks, steps, resets and evaluations gives the same losses and weights.

    Every sequence starts and ends with an epoch that trains only the head. The cache is therefore
    filled before the sequence and used after it.
    """
    epoch_of_the_head = ("train", frozenset({OWNERS - 1}), 4)
    sequence = [epoch_of_the_head, *sequence, epoch_of_the_head, ("evaluate", 0, 0)]
    plain = trainer(samples, decoder)
    cached = trainer(samples, decoder, memory=lambda: memory_limit, folder=tmp_path / "features")
    assert len(plain.stack.owners) == OWNERS
    started = plain.snapshot(), cached.snapshot()
    drifting: dict[int, Any] = {}
    for action, what, steps in sequence:
        if action in ("train", "eager"):
            for _ in range(steps):
                torch.manual_seed(7)  # the same dropout above the cut in both
                one = plain.step(what, drifting, measured=True)
                torch.manual_seed(7)
                two = cached.step(what, drifting, measured=True, cached=action == "train")
                assert two.loss == pytest.approx(one.loss, rel=1e-4, abs=1e-6)
                assert one.batch.samples == two.batch.samples
                assert one.measurement and two.measurement
                for row, other in zip(one.measurement.rows, two.measurement.rows, strict=True):
                    assert row.reach == other.reach
                    first, second = row.grad_norm, other.grad_norm
                    assert (first is None) == (second is None)
                    assert (first or 0.0) == pytest.approx(second or 0.0, rel=1e-3, abs=1e-5)
        elif action == "write":  # stands for any in-place write, such as restoring a layer
            for each in (plain, cached):
                with torch.no_grad():
                    for parameter in each.stack.owners[what].parameters:
                        parameter.mul_(0.9)
        elif action == "drift":
            assert plain.stack.owners[what].keeps_statistics
            drifting = {} if what in drifting else {what: "train"}
        elif action == "back":
            plain.restore(started[0])
            cached.restore(started[1])
        else:
            for images, activations in zip(
                plain.held_out(samples, 5), cached.held_out(samples, 5), strict=True
            ):
                first, second = plain.evaluate(images), cached.evaluate(activations)
                assert first.loss == pytest.approx(second.loss, rel=1e-4, abs=1e-6)
    for name, tensor in plain.model.state_dict().items():
        torch.testing.assert_close(
            tensor, cached.model.state_dict()[name], rtol=1e-3, atol=1e-5, msg=name
        )
    assert cached.feature_cache is not None
    cached.feature_cache.close()
    assert not list(tmp_path.glob("features/*"))


def test_each_image_is_run_through_the_prefix_once(
    samples: tuple[Sample, ...], decoder: Decoder
) -> None:
    one = trainer(samples, decoder)
    features = one.feature_cache
    assert features is not None
    runs = 0

    def count(*_: object) -> None:
        nonlocal runs
        runs += 1

    one.model.conv1.register_forward_hook(count)
    head = frozenset({OWNERS - 1})
    for _ in range(4):  # an epoch of 14 images has four batches
        one.step(head, {}, measured=False, cached=True)
    assert runs == 4 and (features.hits, features.misses) == (0, 14)
    for _ in range(8):
        result = one.step(head, {}, measured=False, cached=True)
        assert result.cached_rows == 4
    assert runs == 4 and (features.hits, features.misses) == (28, 14)
    above_layer1 = frozenset(range(OWNERS - 3, OWNERS))
    for _ in range(4):  # a lower cut: the images are run again, up to layer1
        one.step(above_layer1, {}, measured=False, cached=True)
    assert runs == 8
    for _ in range(4):  # the head's activations are computed from those at layer1
        one.step(head, {}, measured=False, cached=True)
    assert runs == 8


def test_toggling_layers_without_training_them_keeps_the_cache(
    samples: tuple[Sample, ...], decoder: Decoder
) -> None:
    one = trainer(samples, decoder)
    features = one.feature_cache
    assert features is not None
    head, more = frozenset({OWNERS - 1}), frozenset({OWNERS - 2, OWNERS - 1})
    start = one.snapshot()
    for _ in range(4):
        one.step(head, {}, measured=False, cached=True)
    one.restore(start)  # starting over does not change frozen layers
    assert features.misses == 14
    one.step(head, {}, measured=False, cached=True)
    one.apply(more, {})
    one.step(head, {}, measured=False)  # a single step is eager and changes only the head
    one.step(head, {}, measured=False, cached=True)
    assert features.misses == 14


@pytest.mark.parametrize(
    ("arch", "strategy"),
    [
        ("resnet18", "feature-extraction"),
        pytest.param("resnet18", "last-stage", marks=thorough),
        pytest.param("resnet18", "last-two-stages", marks=thorough),
        pytest.param("mobilenet_v3_small", "feature-extraction", marks=thorough),
        ("mobilenet_v3_small", "last-stage"),  # with dropout above the cut
        pytest.param("densenet121", "feature-extraction", marks=thorough),
    ],
)
def test_a_session_with_the_cache_equals_one_without(
    tmp_path: Path, arch: str, strategy: str
) -> None:
    """Losses and validations are equal, even with toggled, restored and restarted layers."""
    folder = draw_images(tmp_path / "images")
    sessions = []
    for choice in ("off", "on"):
        driven = DrivenSession(
            data=str(folder),
            weights="none",
            arch=arch,
            strategy=strategy,
            image_size=64,
            batch_size=8,
            feature_cache=choice,
            run_dir=str(tmp_path / choice),
        )
        torch.manual_seed(7)
        driven.do(Train, steps=4)
        mask = driven.opened.strategies[strategy]
        driven.do(Step)
        driven.do(RestoreLayer, owners=(0,))
        driven.do(SetMask, trainable=driven.opened.strategies["feature-extraction"])
        driven.do(Train, steps=8)
        driven.do(SetMask, trainable=mask)
        driven.do(StartOver)
        driven.do(UndoStartOver)
        driven.do(Train, steps=15)
        sessions.append(driven)
        driven.session.close()
    off, on = sessions
    assert on.last(FeatureCacheReported).rows > 0 and on.last(FeatureCacheReported).hits > 0
    assert on.last(StepTaken).cached_rows == on.last(FeatureCacheReported).rows
    assert off.last(StepTaken).cached_rows == 0
    for one, two in zip(off.all(StepTaken), on.all(StepTaken), strict=True):
        assert one.loss == pytest.approx(two.loss, rel=1e-4)
    for one, two in zip(off.all(Validated), on.all(Validated), strict=True):
        assert one.loss == pytest.approx(two.loss, rel=1e-4) and one.correct == two.correct


def test_the_reason_for_not_using_the_cache_is_reported(tmp_path: Path) -> None:
    folder = draw_images(tmp_path / "images")
    driven = DrivenSession(
        data=str(folder),
        weights="none",
        image_size=64,
        batch_size=8,
        strategy="full",
        run_dir=str(tmp_path / "run"),
    )

    def after(count: int) -> FeatureCacheReported:
        driven.do(Train, steps=count)
        return driven.last(FeatureCacheReported)

    assert after(1).reason == "no frozen layers below the trained ones"
    owners, stack = driven.opened.stack.owners, driven.opened.stack
    above = stack.rows[1].first_owner
    driven.do(SetMask, trainable=tuple(range(above, len(owners))))
    assert "are larger than images (16,384 against 12,288 values)" in after(2).reason
    driven.do(SetMask, trainable=driven.opened.strategies["feature-extraction"])
    report = after(3)
    assert (report.reason, report.rows, report.cut) == ("", 9, "flatten")
    recipe = driven.opened.recipe
    driven.do(SetRecipe, recipe=msgspec.structs.replace(recipe, augmentation="light"))
    assert after(4).reason == "augmentation light changes every image"
    assert driven.last(StepTaken).cached_rows == 0

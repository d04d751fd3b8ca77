"""The feature cache when files are lost, memory is short, or an image cannot be read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms._presets import ImageClassification

from engine.data.batches import Decoder
from engine.data.samples import Sample
from engine.data.train_batches import TrainBatches
from engine.model.layer_stack import Stack
from engine.training.feature_cache import FeatureCache, last_frozen_cut
from engine.training.trainer import Trainer
from tests.support.driven_session import draw_images
from tl_tui.protocol.config import Recipe

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


def open_below(folder: Path) -> list[Path]:
    """Return the descriptors of unlinked files below a folder that this process has open."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(link).startswith(f"{folder}/"):
                links.append(link)
    return links


def truncate(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(0)


OWNERS = 9


def test_activations_of_an_unreadable_file_are_computed_again(
    samples: tuple[Sample, ...], decoder: Decoder, tmp_path: Path
) -> None:
    one = trainer(samples, decoder, memory=lambda: 0, folder=tmp_path)
    features = one.feature_cache
    assert features is not None
    head = frozenset({OWNERS - 1})
    for _ in range(4):
        one.step(head, {}, measured=False, cached=True)
    assert not list(tmp_path.iterdir()), "a killed process would leave a file"
    (file,) = open_below(tmp_path)
    assert file.stat().st_size == 14 * 8 * 4
    truncate(file)
    plain = trainer(samples, decoder)
    for _ in range(4):
        plain.step(head, {}, measured=False)
    for _ in range(4):
        again = one.step(head, {}, measured=False, cached=True)
        assert again.loss == pytest.approx(plain.step(head, {}, measured=False).loss, rel=1e-5)
    cut = last_frozen_cut(one.stack, head)
    assert cut is not None and "could not be read" in features.failure_at(cut)


def test_an_unreadable_file_is_not_used_to_compute_a_higher_cut(
    samples: tuple[Sample, ...], decoder: Decoder, tmp_path: Path
) -> None:
    one = trainer(samples, decoder, memory=lambda: 0, folder=tmp_path)
    plain = trainer(samples, decoder)
    above_layer1, head = frozenset(range(OWNERS - 3, OWNERS)), frozenset({OWNERS - 1})
    lost = 0
    for mask in (above_layer1, head):
        for _ in range(4):
            torch.manual_seed(7)
            expected = plain.step(mask, {}, measured=False).loss
            torch.manual_seed(7)
            loss = one.step(mask, {}, measured=False, cached=True).loss
            assert loss == pytest.approx(expected, rel=1e-4)
        for file in open_below(tmp_path):
            truncate(file)
            lost += 1
    assert lost


def test_a_row_divided_by_a_cut_does_not_count_as_below_it() -> None:
    stack = Stack(Small(), torch.zeros(1, 3, 24, 24))
    reading = Decoder(ImageClassification(crop_size=24, resize_size=24), threads=1)
    features = FeatureCache(
        stack, reading, CPU, images=1, image_size=24, memory=lambda: 0, folder=Path("nowhere")
    )
    below = {cut.name: features.rows_below(cut) for cut in stack.cuts}
    assert below["conv1"] == 0, "its BatchNorm, of the same row, is above"
    assert below["bn1"] == 1
    reading.close()


def test_training_continues_when_the_cache_is_full(
    samples: tuple[Sample, ...], decoder: Decoder, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    one = trainer(samples, decoder, memory=lambda: 5 * 32, folder=tmp_path / "taken")
    features = one.feature_cache
    assert features is not None
    head = frozenset({OWNERS - 1})
    for _ in range(8):
        assert one.step(head, {}, measured=False, cached=True).loss > 0
    cut = last_frozen_cut(one.stack, head)
    assert cut is not None and features.images_at(cut) == 5
    assert "taken" in features.failure_at(cut)
    assert features.hits > 0


def test_cached_batches_skip_unreadable_images_like_other_batches(
    samples: tuple[Sample, ...], decoder: Decoder
) -> None:
    """The loss of an empty batch would be NaN and make every weight NaN."""
    order = TrainBatches(samples, 4, 0, decoder).samples_at(0)
    missing = {sample.path for sample in order[:-1]}
    broken = tuple(s._replace(path="nowhere") if s.path in missing else s for s in samples)
    plain, cached = trainer(broken, decoder), trainer(broken, decoder)
    head = frozenset({OWNERS - 1})
    for _ in range(8):
        one = plain.step(head, {}, measured=False)
        two = cached.step(head, {}, measured=False, cached=True)
        assert one.batch.samples == two.batch.samples and len(one.batch.samples) > 1
        assert one.batch.skipped == two.batch.skipped and one.batch.epoch == two.batch.epoch
        assert plain.batches.cursor == cached.batches.cursor != (0, 0)
        assert one.loss == pytest.approx(two.loss, rel=1e-5)


def test_half_precision_changes_losses_only_slightly(
    samples: tuple[Sample, ...], decoder: Decoder, tmp_path: Path
) -> None:
    plain = trainer(samples, decoder)
    half = trainer(samples, decoder, half=True, folder=tmp_path)
    head = frozenset({OWNERS - 1})
    losses = []
    for _ in range(8):
        one = plain.step(head, {}, measured=False).loss
        two = half.step(head, {}, measured=False, cached=True).loss
        assert two == pytest.approx(one, rel=0.01)
        losses.append((one, two))
    assert any(one != two for one, two in losses)
    cut = last_frozen_cut(half.stack, head)
    assert cut is not None and half.feature_cache is not None
    assert half.feature_cache.bytes_at(cut) == (14 * 8 * 2, 0)

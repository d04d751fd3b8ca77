"""The programs that trained the demo backbone and that measure its accuracy."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.studies import backbone_sets, backbone_worth, measured_cells
from engine.model import torchvision_models
from engine.model.weights import choose_weights
from tests.support.paths import ROOT
from tools.demo_backbone import crops, distil, drawings, export, pictures, views


def noise(width: int = 200, height: int = 150) -> Image.Image:
    random = np.random.default_rng(0)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_photographs_are_distinguished_from_drawings() -> None:
    assert pictures.photographic(noise())
    assert not pictures.photographic(Image.new("RGB", (200, 150), "white"))


def test_crops_and_views_are_seeded() -> None:
    pool = crops.cut(noise(), 8, seed=3)
    assert pool.shape == (8, 72, 72, 3) and pool.dtype == np.uint8
    assert np.array_equal(pool, crops.cut(noise(), 8, seed=3))
    drawn = np.full((4, 72, 72, 3), 255, np.uint8)
    first = views.batch(pool, drawn, 16, 64, np.random.default_rng((0, 5, 1)))
    assert first.shape == (16, 3, 64, 64) and 0 <= first.min() and first.max() <= 1
    assert torch.equal(first, views.batch(pool, drawn, 16, 64, np.random.default_rng((0, 5, 1))))
    many = views.batch(pool, drawn, 400, 64, np.random.default_rng(0))
    corners = many[:, :, 0, 0].std(1) < 1e-6  # constant only in a white picture
    assert 0.2 < corners.float().mean() < 0.4


def test_a_drawing_is_pasted_on_its_background() -> None:
    disc = Image.new("RGBA", (100, 60), (0, 0, 0, 0))
    disc.paste((255, 0, 0, 255), (20, 10, 80, 50))
    ground = np.full((72, 72, 3), 40, np.uint8)
    for seed in range(20):
        crop = drawings.lay(disc, ground, np.random.default_rng(seed))
        assert crop.shape == (72, 72, 3)
        red = (crop[..., 0] > 200) & (crop[..., 1] < 60)
        assert red.any() and (crop[~red & (crop[..., 0] <= 45)] == 40).any()
        again = drawings.lay(disc, ground, np.random.default_rng(seed))
        assert np.array_equal(crop, again)


def settings(work: Path) -> distil.Settings:
    return distil.Settings(
        work,
        views=1000,
        crops=8,
        batch=4,
        side=64,
        lr=1.0,
        weight_decay=0.0,
        seed=0,
        workers=1,
        minutes=0.0,
    )


def test_the_learning_rate_rises_and_then_falls_to_zero(tmp_path: Path) -> None:
    rates = [distil.learning_rate(settings(tmp_path), done) for done in (0, 30, 500, 1000)]
    assert rates[0] < 0.1 and rates[1] == 1.0 and 0.4 < rates[2] < 0.6 and rates[3] < 1e-9


def test_the_exported_file_can_be_used_as_weights(tmp_path: Path) -> None:
    student = distil.Student().to(memory_format=torch.channels_last)
    torch.save({"student": student.state_dict(), "done": 12}, tmp_path / "checkpoint.pt")
    file = tmp_path / "out.safetensors"
    export.export(tmp_path / "checkpoint.pt", file, image_size=64)
    assert file.stat().st_size < 23e6
    chosen = choose_weights("resnet18", str(file), embedded_demo=False)
    built = torchvision_models.build("resnet18", chosen, num_classes=2, image_size=None, seed=0)
    weight = student.net.layer4[1].conv2.weight
    torch.testing.assert_close(built.model.layer4[1].conv2.weight, weight, rtol=1e-3, atol=1e-4)


def test_qt_archives_are_read(tmp_path: Path) -> None:
    names = b"".join(
        struct.pack(">HI", len(name), 0) + name.encode("utf-16-be") for name in ("a", "b.txt")
    )
    tree = struct.pack(">IHII", 0, 2, 1, 1)  # the root: one child, node 1
    tree += struct.pack(">IHII", 0, 2, 1, 2)  # a/
    tree += struct.pack(">IHII", 8, 0, 0, 0)  # b.txt
    data = struct.pack(">I", 5) + b"hello"
    at = [20, 20 + len(tree), 20 + len(tree) + len(data)]
    path = tmp_path / "x.rcc"
    path.write_bytes(b"qres" + struct.pack(">4i", 1, *at) + tree + data + names)
    assert list(backbone_sets.resources(path)) == [("/a/b.txt", b"hello")]


def test_no_picture_is_in_both_train_and_test() -> None:
    for found in (backbone_sets.hot_dogs(), backbone_sets.faces()):
        for seed in range(3):
            train, rest = found.split(20, seed)
            assert len(set(train)) == 20 * len(found.classes) and not set(train) & set(rest)
            assert set(np.bincount(found.labels[train])) == {20}
        assert not np.array_equal(found.split(20, 0)[0], found.split(20, 1)[0])


def test_balanced_accuracy_is_the_mean_over_classes() -> None:
    logits = torch.eye(2)[[0, 0, 0, 0, 0]]
    assert backbone_worth.balanced_accuracy(logits, torch.tensor([0, 0, 0, 0, 1])) == 0.5


@pytest.mark.timeout(900)
@pytest.mark.thorough
def test_the_benchmark_prints_a_whole_table(tmp_path: Path) -> None:
    """With one seed and two steps the numbers mean nothing, but no row is missing."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.studies.backbone_worth",
        "--work",
        tmp_path / "work",
    ]
    torch.save({"student": distil.Student().state_dict(), "done": 0}, tmp_path / "checkpoint.pt")
    weights = tmp_path / "untrained.safetensors"
    export.export(tmp_path / "checkpoint.pt", weights, image_size=64)
    command += ["--weights", weights]
    small = "--sets faces --seeds 1 --sides 32 --short 1 --long 2 --tuning 1 --workers 1"
    command += ["--out", tmp_path / "out", *small.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "out" / "backbone_worth.md").read_text()
    for row in ("demo backbone", "random backbone", "last stage", "full", "scratch", "chance"):
        assert row in table, table
    result = json.loads((tmp_path / "out" / "backbone_worth.json").read_text())
    assert result["weights_sha256"] == measured_cells.digest(str(weights))
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0 and "1/" not in again.stdout  # nothing is measured again

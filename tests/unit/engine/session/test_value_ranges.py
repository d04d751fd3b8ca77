"""A run records the range of its images and uses it to its end, and so does all that follows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.data.conversion.value_ranges import ClippedValues
from engine.data.decoding import UnreadableImage, read_rgb
from engine.jobs.load import load_model
from tests.support.driven_session import DrivenSession, draw_images
from tests.support.trained_runs import SMALL, run_job, train_run
from tl_tui.protocol.commands import EvaluateData, ExportModel, Predict, Step, Train
from tl_tui.protocol.dataset import ValuesClipped
from tl_tui.protocol.inference import ImagesPredicted
from tl_tui.protocol.training import StepTaken, Validated
from tui.text.clipped_values import clipped_sentence


def draw_twelve_bit(root: Path, count: int = 16, bits: int = 0) -> Path:
    """Write two classes that differ in brightness, in values from 281 to 2,634."""
    for label, level in (("lesion", 1900), ("normal", 900)):
        (root / label).mkdir(parents=True)
        for number in range(count):
            noise = np.random.default_rng(level + number).normal(0, 250, (48, 48))
            values = (level + noise).clip(281, 2634).astype(np.uint16) << bits
            Image.fromarray(values).save(root / label / f"{number}.png")
    return root


def open_run(data: Path, run: Path, **config: object) -> DrivenSession:
    return DrivenSession(data=str(data), run_dir=str(run), **SMALL | config)


def test_twelve_bit_images_are_learnt(tmp_path: Path) -> None:
    """Cut to their upper byte they would be black."""
    data = draw_twelve_bit(tmp_path / "d")
    options = {"arch": "resnet18", "weights": "demo", "image_size": 64, "batch_size": 4}
    driven = open_run(data, tmp_path / "run", **options, epochs=10, checkpoint_seconds=600.0)
    assert any("281 becomes black and 2,634 white" in note for note in driven.opened.notes)
    driven.do(Train)
    last = driven.last(Validated)
    assert last.total == 6 and last.correct >= 5
    driven.session.close()


def test_the_range_is_recorded_and_used_by_all_that_follows(tmp_path: Path) -> None:
    data = draw_twelve_bit(tmp_path / "d", 6)
    run = train_run(data, tmp_path / "run", steps=2, strategy="feature-extraction")
    recorded = json.loads((run / "config.json").read_text())["ranges"]
    trained = load_model(str(run))
    assert recorded == {"integer": [281, 2634]} and trained.ranges == {"integer": (281, 2634)}

    path = data / "normal" / "0.png"
    inputs = trained.preset(read_rgb(path, trained.ranges))[None]
    with torch.no_grad():
        expected = trained.model(inputs).softmax(1)[0]
    told, failure = run_job(Predict, run=str(run), paths=(bytes(path),), device="cpu")
    assert not failure
    (predicted,) = [event for event in told if isinstance(event, ImagesPredicted)]
    torch.testing.assert_close(torch.tensor(predicted.images[0].probabilities), expected)
    assert not any(isinstance(event, ValuesClipped) for event in told)

    run_job(ExportModel, run=str(run), folder=str(tmp_path / "m"), formats=("pth",))
    about = json.loads((tmp_path / "m" / "model.json").read_text())["preprocessing"]
    assert about["ranges"] == recorded
    assert "281 becomes 0 and 2634 becomes 255" in about["steps"][0]


def test_values_beyond_the_range_are_counted(tmp_path: Path) -> None:
    data = draw_twelve_bit(tmp_path / "d", 6)
    run = train_run(data, tmp_path / "run", steps=2, strategy="feature-extraction")
    other = draw_twelve_bit(tmp_path / "other", 6, bits=1)
    for job, fields in (
        (Predict, {"paths": (bytes(other),)}),
        (EvaluateData, {"data": str(other), "labels": None}),
    ):
        told, failure = run_job(job, run=str(run), device="cpu", **fields)
        (clipped,) = [event for event in told if isinstance(event, ValuesClipped)]
        assert not failure and clipped.images == clipped.of_images == 12
        assert clipped.highest == 5268 and (clipped.low, clipped.high) == (281, 2634)
        assert 0 < clipped.values < clipped.of_values == 12 * 48 * 48
        sentence = clipped_sentence(clipped)
        assert sentence.startswith("12 of 12 images with more than 8 bits per pixel have values")
        assert "281 to 2,634" in sentence and "5,268" in sentence


def test_validation_images_beyond_the_range_are_reported_once(tmp_path: Path) -> None:
    draw_twelve_bit(tmp_path / "d" / "train", 6)
    draw_twelve_bit(tmp_path / "d" / "val", 3, bits=1)
    driven = open_run(tmp_path / "d", tmp_path / "run", epochs=2)
    driven.do(Train)
    (clipped,) = driven.all(ValuesClipped)
    assert clipped.images == 6
    assert clipped.of_images == 18
    driven.session.close()
    journal = (tmp_path / "run" / "journal.jsonl").read_text()
    assert journal.count('"event":"values_clipped"') == 1


@pytest.mark.parametrize("known", [True, False])
def test_a_resumed_run_keeps_its_scaling(known: bool, tmp_path: Path) -> None:
    """Also one of version 0.1.0, which recorded no range and took the upper byte."""
    data = draw_twelve_bit(tmp_path / "d", 8)
    run = train_run(data, tmp_path / "run", steps=2, strategy="feature-extraction")
    if not known:
        config = json.loads((run / "config.json").read_text())
        del config["ranges"]
        (run / "config.json").write_text(json.dumps(config))
    driven = DrivenSession.resumed(run, checkpoint="last")
    decoder = driven.session.run.context.decoder
    assert decoder.ranges == ({"integer": (281, 2634)} if known else {})
    assert not any("becomes black" in note for note in driven.opened.notes)
    driven.do(Step)
    assert driven.last(StepTaken).step == 3
    path = str(data / "lesion" / "0.png")
    rgb = np.asarray(decoder._read(path))
    values = np.asarray(Image.open(path)).astype(int)
    grey = (values >> 8) if not known else np.round((values - 281) / (2634 - 281) * 255)
    assert np.array_equal(rgb[..., 0], grey)
    driven.session.close()


def test_8_bit_images_have_no_range(tmp_path: Path) -> None:
    """And an image with more bits is reported, because it cannot be scaled as it should."""
    run = train_run(draw_images(tmp_path / "d"), tmp_path / "run", steps=1)
    assert "ranges" not in json.loads((run / "config.json").read_text())
    assert load_model(str(run)).ranges == {}
    other = draw_twelve_bit(tmp_path / "other", 2)
    told, _ = run_job(Predict, run=str(run), paths=(bytes(other),), device="cpu")
    (event,) = [event for event in told if isinstance(event, ValuesClipped)]
    assert (event.images, event.without_range) == (0, 4)
    sentence = clipped_sentence(event)
    assert sentence.startswith("The run has no range for 4 images") and "upper 8" in sentence


def test_values_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    clipped = ClippedValues()
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    values[0, 0] = np.nan
    Image.fromarray(values).save(tmp_path / "some.tif")
    Image.fromarray(np.full((8, 8), np.nan, np.float32)).save(tmp_path / "all.tif")
    for ranges in ({}, {"float": (0.0, 1.0)}):
        read_rgb(tmp_path / "some.tif", ranges, clipped)
        with pytest.raises(UnreadableImage, match="finite"):
            read_rgb(tmp_path / "all.tif", ranges, clipped)
    event = clipped.report()
    assert event is not None and event.not_finite == 1
    assert "1 image has values that are NaN" in clipped_sentence(event)
    assert "some.tif" in clipped_sentence(event)

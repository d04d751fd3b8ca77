"""New starts, restored layers, and tasks that leave a run as it was."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import torchvision

from engine.model import freezing
from engine.training import checkpoint
from tests.support.driven_session import DrivenSession, draw_images
from tl_tui.common.metrics import balanced_accuracy
from tl_tui.protocol.checks import LrRangeTested, WeightDriftMeasured
from tl_tui.protocol.commands import (
    Evaluate,
    RestoreLayer,
    SetRate,
    ShowImages,
    ShowResults,
    StartOver,
    Step,
    Train,
    UndoRestoreLayer,
    UndoStartOver,
)
from tl_tui.protocol.commands import TestLrRange as RangeTest
from tl_tui.protocol.events import Refused
from tl_tui.protocol.results import ImagesShown, ResultsShown
from tl_tui.protocol.session import (
    LayerRestored,
    MaskPlanned,
    RecipeChanged,
    StartedOver,
)
from tl_tui.protocol.training import StepTaken, Validated


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    file = tmp_path_factory.mktemp("weights") / "backbone.pth"
    torch.save(torchvision.models.resnet18().state_dict(), file)
    return file


@pytest.fixture
def options(folder: Path, tmp_path: Path) -> dict:
    return {
        "data": str(folder),
        "weights": "none",
        "image_size": 32,
        "batch_size": 8,
        "run_dir": str(tmp_path / "run"),
    }


def trainer_of(driven: DrivenSession):  # type: ignore[no-untyped-def]
    assert driven.session.run is not None
    return driven.session.run.trainer


def weights(driven: DrivenSession) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in trainer_of(driven).model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and not freezing.changed_tensors(one, other)


def losses(driven: DrivenSession) -> list[float]:
    return [step.loss for step in driven.all(StepTaken)]


def test_a_new_start_from_random_weights_equals_a_fresh_session_and_can_be_undone(
    options: dict, backbone: Path, tmp_path: Path
) -> None:
    driven = DrivenSession(**options | {"weights": str(backbone)})
    first = weights(driven)
    driven.do(Train, steps=2)
    trained = weights(driven)
    driven.do(StartOver, weights="none", keep=True)
    started = driven.last(StartedOver)
    assert (started.weights, started.pretrained, started.start) == ("random", False, 1)
    assert driven.last(MaskPlanned).trainable == driven.opened.strategies["full"]
    plain = DrivenSession(**options | {"run_dir": str(tmp_path / "plain")})
    assert same(weights(driven), weights(plain)), "as a fresh session begins"
    assert driven.last(RecipeChanged).rates == plain.opened.rates
    saved = checkpoint.read(Path(options["run_dir"]) / "checkpoints" / "start-0.safetensors")
    assert same(saved.snapshot.tensors, trained), "the old weights are not lost"
    driven.do(UndoStartOver)
    assert same(weights(driven), trained)
    assert driven.last(RecipeChanged).rates == driven.opened.rates
    driven.do(StartOver, weights="none", keep=True)
    driven.do(Train, steps=2)
    plain.do(Train, steps=2)
    assert losses(driven)[-2:] == losses(plain)
    driven.do(StartOver)
    assert driven.last(StartedOver).weights == "random"
    driven.do(StartOver, weights="first")
    assert same(weights(driven), first)


def test_a_layer_is_restored_to_its_first_weights_and_that_can_be_undone(options: dict) -> None:
    driven = DrivenSession(**options)
    first = weights(driven)
    driven.do(Train, steps=3)
    trained = weights(driven)
    row = driven.opened.stack.rows[4]
    owners = tuple(range(row.first_owner, row.end_owner))
    driven.do(RestoreLayer, owners=owners)
    restored = weights(driven)
    for name in restored:
        inside = name.startswith(f"{row.name}.")
        assert torch.equal(restored[name], (first if inside else trained)[name]), name
    assert driven.last(WeightDriftMeasured).rows[4] == 0.0
    driven.do(UndoRestoreLayer)
    assert same(weights(driven), trained)
    assert [event.undone for event in driven.all(LayerRestored)] == [False, True]
    driven.do(RestoreLayer, owners=owners)
    driven.do(Step)
    driven.do(UndoRestoreLayer)
    assert isinstance(driven.last(Refused), Refused), "after a step it is too late"


def test_weight_drift_equals_the_norm_ratio_computed_directly(options: dict) -> None:
    driven = DrivenSession(**options, strategy="last-stage")
    first = weights(driven)
    driven.do(Step)
    now, drift = weights(driven), driven.last(WeightDriftMeasured)
    rows = driven.opened.stack.rows
    for row, distance in zip(rows, drift.rows, strict=True):
        names = [
            name
            for name, _ in trainer_of(driven).model.named_parameters()
            if name.startswith(f"{row.name}.")
        ]
        if row.name == "conv1":
            names += ["bn1.weight", "bn1.bias"]
        moved = math.hypot(*(float((now[n] - first[n]).double().norm()) for n in names))
        size = math.hypot(*(float(first[n].double().norm()) for n in names))
        assert distance == pytest.approx(moved / size, rel=1e-5)
        assert (distance > 0) == (row.name in ("layer4.0", "layer4.1", "fc"))


def test_a_step_within_an_evaluation_does_not_mix_two_states_of_the_weights(
    options: dict, tmp_path: Path
) -> None:
    """The validation, the weight drift and the feature cache name the step that they belong to."""
    driven = DrivenSession(**options, strategy="full")
    driven.do(Step)
    driven.send(Evaluate)
    driven.session.work()  # the first of two batches
    driven.do(Step)
    (validated,) = [event for event in driven.all(Validated) if not event.yardstick]
    drift = driven.last(WeightDriftMeasured)
    assert (validated.step, drift.step) == (2, 2)
    plain = DrivenSession(**options | {"run_dir": str(tmp_path / "other")}, strategy="full")
    for _ in range(2):
        plain.do(Step)
    plain.do(Evaluate)
    assert validated.loss == plain.last(Validated).loss
    assert drift.rows == plain.last(WeightDriftMeasured).rows


def test_a_range_test_changes_neither_weights_nor_later_losses(
    options: dict, tmp_path: Path
) -> None:
    plain = DrivenSession(**options)
    plain.do(Train, steps=3)
    tested = DrivenSession(**options | {"run_dir": str(tmp_path / "other")})
    tested.do(Train, steps=1)
    before = weights(tested)
    tested.do(RangeTest)
    assert same(weights(tested), before)
    result = tested.last(LrRangeTested)
    assert result.done and len(result.points) > 5
    rates = [rate for rate, _ in result.points]
    assert rates == sorted(rates) and result.reason
    tested.do(Train, steps=3)
    assert losses(tested) == losses(plain)


def test_a_step_ends_a_range_test(options: dict, tmp_path: Path) -> None:
    plain = DrivenSession(**options)
    plain.do(Step)
    tested = DrivenSession(**options | {"run_dir": str(tmp_path / "other")})
    tested.send(RangeTest)
    for _ in range(4):
        tested.session.work()
    assert tested.all(LrRangeTested)
    tested.do(Step)
    assert losses(tested) == losses(plain)
    assert tested.last(LrRangeTested).done and tested.last(LrRangeTested).proposal is None


def test_results_cover_every_image_and_compare_with_earlier_ones(options: dict) -> None:
    driven = DrivenSession(**options)
    driven.do(ShowResults)
    results = driven.last(ResultsShown)
    assert results.total == 12 and not results.stale
    assert sum(count for _, _, count in results.confusion) == 12
    right = sum(count for label, predicted, count in results.confusion if label == predicted)
    assert right == results.correct
    assert len(results.most_wrong) == 12 - right
    confidence = [image.probability for image in results.most_wrong]
    assert confidence == sorted(confidence, reverse=True)
    assert all(image.predicted != image.label for image in results.most_wrong)
    measures = results.measures
    assert measures is not None
    assert measures.macro.recall == pytest.approx(balanced_accuracy(results.per_class))
    assert sum(one.images for one in measures.reliability) == 12
    driven.do(ShowResults)
    assert driven.last(ResultsShown) == results
    driven.do(Train, steps=8)
    driven.do(StartOver)
    driven.do(Step)
    driven.do(ShowResults)
    assert driven.last(ResultsShown).stale
    driven.do(Evaluate)
    driven.do(ShowResults)
    compared = driven.last(ResultsShown)
    assert not compared.stale and compared.measures not in (None, measures)
    (comparison,) = compared.comparisons
    assert comparison.other == "start 0, step 8"
    assert comparison.only_this - comparison.only_other == compared.correct - (
        comparison.other_correct
    )


def test_thumbnails_show_the_next_batch_and_the_wrong_images(options: dict) -> None:
    driven = DrivenSession(**options)
    position = trainer_of(driven).batches.position
    driven.do(ShowImages, selection="batch", size=16, limit=5)
    shown = driven.last(ImagesShown)
    assert (shown.selection, len(shown.images), shown.total) == ("batch", 5, 8)
    assert trainer_of(driven).batches.position == position
    for image in shown.images:
        assert len(image.pixels) == 3 * image.width * image.height
        assert max(image.width, image.height) == 16
        middle = 3 * (8 * image.width + image.width // 2)
        level = sum(image.pixels[middle : middle + 3]) / 3
        assert (level > 180) == (image.label == 1), (
            "class 0 has a dark square, class 1 a bright one"
        )
        assert 0 <= (image.probability or 0) <= 1 and image.predicted in (0, 1)
    driven.do(ShowImages, selection="wrong")
    wrong = driven.last(ImagesShown)
    assert wrong.total == len(wrong.images)
    assert all(image.predicted != image.label for image in wrong.images)


def test_the_journal_records_every_kind_of_event(options: dict) -> None:
    driven = DrivenSession(**options, epochs=1)
    driven.do(Train)
    driven.do(SetRate, rows=(0,), rate=0.1)
    driven.do(StartOver, weights="none", keep=True)
    driven.session.close()
    text = (Path(options["run_dir"]) / "journal.jsonl").read_text()
    events = [json.loads(line)["event"] for line in text.splitlines()]
    for kind in ("train", "mask", "step", "validated", "checkpoint", "recipe", "start_over"):
        assert kind in events

"""Cross-validation: folds, feature caching, and restoring the session afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.model import freezing
from tests.support.driven_session import DrivenSession, draw_images
from tl_tui.protocol.checks import CrossValidationEnded, FoldProgressed, FoldValidated
from tl_tui.protocol.commands import (
    CrossValidate,
    Pause,
    SetMask,
    SetNormMode,
    StartOver,
    Step,
    Train,
)
from tl_tui.protocol.commands import TestLrRange as RangeTest
from tl_tui.protocol.events import Refused
from tl_tui.protocol.training import StepTaken


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_images(tmp_path_factory.mktemp("images"))


@pytest.fixture
def options(folder: Path, tmp_path: Path) -> dict:
    return {
        "data": str(folder),
        "weights": "none",
        "image_size": 32,
        "batch_size": 8,
        "steps": 4,
        "strategy": "last-stage",
        "run_dir": str(tmp_path / "run"),
    }


def test_each_image_is_validated_once_and_later_training_is_unaffected(
    options: dict, tmp_path: Path
) -> None:
    driven = DrivenSession(**options)
    driven.do(CrossValidate, folds=3)
    folds, ended = driven.all(FoldValidated), driven.last(CrossValidationEnded)
    assert [fold.fold for fold in folds] == [1, 2, 3]
    assert ended.total == sum(fold.total for fold in folds) == 36
    assert ended.correct == sum(fold.correct for fold in folds)
    assert ended.accuracies == tuple(fold.correct / fold.total for fold in folds)
    assert all(fold.steps == 4 and fold.cached for fold in folds)
    assert ended.reason == "done"
    plain = DrivenSession(**options | {"run_dir": str(tmp_path / "plain")})
    plain.do(Train, steps=4)
    driven.do(Train, steps=4)
    assert [s.loss for s in driven.all(StepTaken)] == [s.loss for s in plain.all(StepTaken)]


def test_features_are_not_cached_below_a_trainable_or_training_mode_layer(options: dict) -> None:
    driven = DrivenSession(**options)
    owners = driven.opened.stack.owners
    stem = next(i for i, owner in enumerate(owners) if owner.name == "bn1")
    driven.do(SetMask, trainable=(*driven.opened.strategies["feature-extraction"], stem))
    driven.do(CrossValidate, folds=2)
    assert [fold.cached for fold in driven.all(FoldValidated)] == ["", ""]
    driven.do(SetMask, trainable=driven.opened.strategies["feature-extraction"])
    driven.do(SetNormMode, owners=(stem,), mode="train")
    driven.do(CrossValidate, folds=2)
    assert [fold.cached for fold in driven.all(FoldValidated)[2:]] == ["", ""]


def test_only_a_pause_ends_a_cross_validation_and_it_restores_the_model(
    options: dict, tmp_path: Path
) -> None:
    plain = DrivenSession(**options | {"run_dir": str(tmp_path / "plain")})
    plain.do(Step)
    driven = DrivenSession(**options | {"run_dir": str(tmp_path / "folds")})
    before = {n: t.clone() for n, t in driven.session.run.trainer.model.state_dict().items()}  # type: ignore[union-attr]
    driven.send(CrossValidate, folds=3)
    for _ in range(3):
        driven.session.work()
    assert (driven.last(FoldProgressed).fold, driven.last(FoldProgressed).folds) == (1, 3)
    for command in (Step, Train, StartOver, RangeTest):
        driven.send(command)
        assert "A cross-validation runs" in driven.last(Refused).reason
    assert not driven.all(CrossValidationEnded) and not driven.all(StepTaken)
    driven.do(Pause)
    assert driven.last(CrossValidationEnded).reason == "paused"
    after = driven.session.run.trainer.model.state_dict()  # type: ignore[union-attr]
    assert not freezing.changed_tensors(before, after)
    driven.do(Step)
    assert driven.last(StepTaken).loss == plain.last(StepTaken).loss


def test_too_few_and_too_many_folds_are_refused(options: dict) -> None:
    driven = DrivenSession(**options)
    for count, words in ((1, "at least 2 folds"), (99, "at most 18 folds")):
        driven.do(CrossValidate, folds=count)
        assert words in driven.last(Refused).reason
    assert not driven.all(CrossValidationEnded)

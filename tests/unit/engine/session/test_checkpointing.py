"""Checkpoints: the last, the best and the old start's weights are not lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.training import checkpoint
from tests.support.driven_session import DrivenSession, draw_images
from tl_tui.protocol.commands import (
    Evaluate,
    RestoreLayer,
    SaveCheckpoint,
    ShowResults,
    StartOver,
    Step,
    Train,
    UndoRestoreLayer,
)
from tl_tui.protocol.results import ResultsShown
from tl_tui.protocol.session import LayerRestored
from tl_tui.protocol.training import CheckpointSaved, Validated


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_images(tmp_path_factory.mktemp("images"))


@pytest.fixture
def driven(folder: Path, tmp_path: Path) -> DrivenSession:
    return DrivenSession(
        data=str(folder),
        weights="none",
        image_size=32,
        batch_size=8,
        run_dir=str(tmp_path / "run"),
    )


def saved(driven: DrivenSession, name: str) -> list[CheckpointSaved]:
    return [event for event in driven.all(CheckpointSaved) if event.name == name]


def full_validations(driven: DrivenSession) -> list[Validated]:
    return [event for event in driven.all(Validated) if not event.yardstick]


def test_a_requested_evaluation_emits_results_and_saves_the_best_weights(
    driven: DrivenSession,
) -> None:
    driven.do(Evaluate)
    assert driven.last(ResultsShown).step == 0
    assert not driven.all(CheckpointSaved), "nothing was trained"
    driven.do(Step)
    driven.do(Evaluate)
    assert driven.last(ResultsShown).step == 1 and not driven.last(ResultsShown).stale
    kept = [event.step for event in saved(driven, "best")]
    assert kept == [event.step for event in full_validations(driven)[1:] if event.best]


def test_showing_results_saves_the_weights_if_they_are_the_best(driven: DrivenSession) -> None:
    driven.do(Step)
    driven.do(ShowResults)
    assert full_validations(driven)[-1].best
    assert [event.step for event in saved(driven, "best")] == [1]


def test_a_result_is_not_compared_with_itself(driven: DrivenSession) -> None:
    driven.do(Step)
    driven.do(Evaluate)
    driven.do(Evaluate)
    assert driven.last(ResultsShown).comparisons == ()
    row = driven.opened.stack.rows[-1]
    driven.do(RestoreLayer, owners=tuple(range(row.first_owner, row.end_owner)))
    driven.do(Evaluate)
    assert len(driven.last(ResultsShown).comparisons) == 1, "different weights at the same step"
    driven.do(UndoRestoreLayer)
    assert driven.last(LayerRestored).undone
    assert driven.last(LayerRestored).owners == tuple(range(row.first_owner, row.end_owner))


def test_best_weights_that_could_not_be_written_are_written_with_the_next_save(
    driven: DrivenSession, tmp_path: Path
) -> None:
    driven.do(Step)
    driven.do(Evaluate)  # the first validation is the best so far; the run directory exists
    best = full_validations(driven)[-1]
    assert best.best
    folder = tmp_path / "run" / "checkpoints"
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    while not (driven.last(Validated).best and driven.last(Validated).step > 1):
        driven.do(Step)
        driven.do(Evaluate)
        assert driven.last(Validated).step < 40, "it does not learn"
    best = driven.last(Validated)
    assert saved(driven, "last")[-1].failure
    assert saved(driven, "best")[-1].failure and saved(driven, "best")[-1].step == best.step
    trained = {n: t.clone() for n, t in driven.session.run.trainer.model.state_dict().items()}  # type: ignore[union-attr]
    driven.do(Step)
    folder.unlink()
    driven.do(SaveCheckpoint)
    assert saved(driven, "best")[-1].step == best.step and not saved(driven, "best")[-1].failure
    read = checkpoint.read(folder / "best.safetensors")
    assert read.about["step"] == best.step and read.about["best"]["correct"] == best.correct
    assert all((read.snapshot.tensors[name] == t).all() for name, t in trained.items())
    assert checkpoint.read(folder / "last.safetensors").about["step"] == best.step + 1


def test_starting_over_saves_the_old_weights_if_requested(
    driven: DrivenSession, tmp_path: Path
) -> None:
    """They are the weights before the start over, not those that the session began with."""
    driven.do(Train, steps=2)
    driven.do(StartOver, weights="same", keep=True)
    driven.do(Train, steps=1)
    read = checkpoint.read(tmp_path / "run" / "checkpoints" / "start-0.safetensors")
    assert (read.about["start"], read.about["step"]) == (0, 2)
    driven.do(StartOver)
    assert not (tmp_path / "run" / "checkpoints" / "start-1.safetensors").exists()


def test_short_epochs_are_not_all_saved_but_the_best_weights_are(
    folder: Path, tmp_path: Path
) -> None:
    """Within the interval, the best weights are only in memory until training ends."""
    driven = DrivenSession(
        data=str(folder),
        weights="none",
        image_size=32,
        batch_size=8,
        checkpoint_seconds=3600.0,
        run_dir=str(tmp_path / "run"),
    )
    driven.do(Train, steps=15)  # five epochs
    assert [event.step for event in saved(driven, "last")] == [3, 15]
    best = [event.step for event in full_validations(driven) if event.best][-1]
    assert saved(driven, "best")[-1].step == best
    read = checkpoint.read(tmp_path / "run" / "checkpoints" / "best.safetensors")
    assert read.about["step"] == best

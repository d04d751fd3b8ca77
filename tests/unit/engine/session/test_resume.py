"""A resumed run is bit-identical to one that was never interrupted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.model import freezing
from tests.support.driven_session import DrivenSession, draw_images
from tests.support.run_histories import EPOCH, HISTORIES, Action
from tl_tui.protocol.commands import SetMask, StartOver, Step, Train
from tl_tui.protocol.session import HistorySent, OpenFailed
from tl_tui.protocol.training import CheckpointSaved, StepTaken, Validated
from tl_tui.runs.run_reader import Run, read_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_images(tmp_path_factory.mktemp("images"))


def weights(driven: DrivenSession) -> dict[str, torch.Tensor]:
    assert driven.session.run is not None
    return {n: t.clone() for n, t in driven.session.run.trainer.model.state_dict().items()}


def losses(driven: DrivenSession) -> list[float]:
    return [step.loss for step in driven.all(StepTaken)]


def session(folder: Path, run: Path, **options) -> DrivenSession:
    return DrivenSession(
        **{
            "data": str(folder),
            "arch": "shufflenet_v2_x0_5",
            "weights": "none",
            "image_size": 32,
            "batch_size": 8,
            "run_dir": str(run),
            **options,
        }
    )


@dataclass
class Whole:
    """A run that was never stopped, to compare others with."""

    options: dict[str, Any]
    actions: list[Action]
    losses: list[float]
    weights: dict[str, torch.Tensor]
    read: Run


@pytest.fixture(scope="module", params=HISTORIES)
def whole(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Whole:
    """A run that was never stopped."""
    options, history = HISTORIES[request.param]
    run = tmp_path_factory.mktemp("whole") / "run"
    driven = session(folder, run, **options)
    actions = history(driven)
    for action in actions:
        action(driven)
    driven.session.close()
    return Whole(options, actions, losses(driven), weights(driven), read_run(run))


def compare_resumed(
    whole: Whole, folder: Path, run: Path, stops: Iterable[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Close and resume a run after some of its actions, and compare it with the whole run."""
    driven, taken = session(folder, run, **whole.options), []
    for number, action in enumerate(whole.actions, 1):
        action(driven)
        if number in stops:
            taken += losses(driven)
            driven.session.close()
            monkeypatch.setattr(
                os, "cpu_count", partial(int, number)
            )  # with another number of decoding threads
            driven = DrivenSession.resumed(run)
    assert taken + losses(driven) == whole.losses
    assert not freezing.changed_tensors(weights(driven), whole.weights)
    driven.session.close()
    read = read_run(run)
    assert [start.losses for start in read.starts] == [s.losses for s in whole.read.starts]
    assert read.torn == 0


def test_resuming_after_every_action_changes_no_loss_and_no_weight(
    whole: Whole, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare_resumed(whole, folder, tmp_path / "run", range(1, len(whole.actions)), monkeypatch)


@pytest.mark.thorough
def test_resuming_after_any_one_action_changes_no_loss_and_no_weight(
    whole: Whole, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stop in range(1, len(whole.actions)):
        compare_resumed(whole, folder, tmp_path / str(stop), [stop], monkeypatch)


def test_a_resumed_run_sends_the_curves_so_far(folder: Path, tmp_path: Path) -> None:
    driven = session(folder, tmp_path / "run", epochs=2)
    driven.do(Train, steps=2)
    driven.do(StartOver)
    driven.do(Train)
    driven.session.close()
    again = DrivenSession.resumed(tmp_path / "run")
    first, second = again.last(HistorySent).starts
    assert [step for step, _ in first.losses] == [1, 2]
    assert [loss for _, loss in second.losses] == losses(driven)[2:]
    told = [v.correct for v in driven.all(Validated) if not v.yardstick and v.start == 1]
    assert [correct for _, correct, _, _ in second.validations] == told
    assert (again.opened.start, again.opened.step) == (1, 2 * EPOCH)
    assert f"Goes on after step {2 * EPOCH}" in again.opened.notes[0]


def test_steps_after_the_last_checkpoint_of_a_killed_run_are_taken_again(
    folder: Path, tmp_path: Path
) -> None:
    driven = session(folder, tmp_path / "run", epochs=2)
    driven.send(Train)
    while len(driven.all(StepTaken)) < EPOCH + 2:
        driven.session.work()
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "run", cut)
    with open(cut / "journal.jsonl", "ab") as journal:
        journal.write(b'{"event":"step","time":17')  # the machine crashed here
    assert read_run(cut).state == "cut off"
    driven.do(Train)
    again = DrivenSession.resumed(cut)
    assert again.opened.step == EPOCH
    again.do(Train)
    assert losses(again) == losses(driven)[EPOCH:]
    again.session.close()
    driven.session.close()
    read, whole = read_run(cut), read_run(tmp_path / "run")
    assert read.starts[0].losses == whole.starts[0].losses
    assert read.torn == 1 and read.state == "done"


def test_resuming_with_another_mask_reports_kept_and_dropped_optimizer_state(
    folder: Path, tmp_path: Path
) -> None:
    driven = session(folder, tmp_path / "run", arch="resnet18", strategy="last-stage")
    driven.do(Train, steps=2)
    driven.session.close()
    again = DrivenSession.resumed(tmp_path / "run", trainable=("fc", "layer1"))
    said = " ".join(again.opened.notes)
    assert "kept for 2 of the 14 tensors that train, made anew for the others" in said
    assert "dropped for layer4.0.bn1.bias" in said
    again.do(Step)
    stack = again.opened.stack
    names = {stack.rows[stack.owners[owner].row].name for owner in again.last(StepTaken).mask}
    assert names == {"layer1.0", "layer1.1", "fc"}


def test_resuming_with_more_epochs_extends_the_schedule(folder: Path, tmp_path: Path) -> None:
    driven = session(folder, tmp_path / "run", epochs=1, lr_schedule="cosine")
    driven.do(Train)
    driven.session.close()
    again = DrivenSession.resumed(tmp_path / "run", epochs=3)
    assert again.opened.cycle.steps == 3 * EPOCH
    again.do(Train)
    assert again.last(StepTaken).step == 3 * EPOCH


def test_epochs_count_from_the_start_even_if_a_cycle_began_later(
    folder: Path, tmp_path: Path
) -> None:
    driven = session(folder, tmp_path / "run", epochs=2, strategy="feature-extraction")
    driven.do(Train, steps=4)
    driven.do(SetMask, trainable=driven.opened.strategies["full"], strategy="full")
    driven.do(Train, steps=5)  # its cycle began after step 4
    driven.session.close()
    again = DrivenSession.resumed(tmp_path / "run", epochs=3)
    cycle = again.opened.cycle
    assert (cycle.after_step, cycle.after_step + cycle.steps) == (4, 3 * EPOCH)
    again.do(Train)
    assert again.last(StepTaken).step == 3 * EPOCH


def test_the_epochs_of_a_plan_cannot_be_changed(folder: Path, tmp_path: Path) -> None:
    driven = session(folder, tmp_path / "run", plan="lp-ft", epochs=2)
    driven.do(Train, steps=2)
    driven.session.close()
    refused = DrivenSession.resumed(tmp_path / "run", epochs=4).last(OpenFailed).sentence
    assert "follows the plan lp-ft" in refused
    again = DrivenSession.resumed(tmp_path / "run", epochs=4, strategy="full")
    assert again.opened.plan is None and again.opened.step == 2


def test_a_resumed_run_reports_its_checkpoint_and_holds_its_lock(
    folder: Path, tmp_path: Path
) -> None:
    driven = session(folder, tmp_path / "run")
    driven.do(Train, steps=2)
    driven.session.close()
    again = DrivenSession.resumed(tmp_path / "run")
    told = again.last(CheckpointSaved)
    assert (told.name, told.start, told.step, told.failure) == ("last", 0, 2, "")
    assert Path(told.path).exists()
    refused = DrivenSession.resumed(tmp_path / "run", strategy="upper")
    assert "open in another engine" in refused.last(OpenFailed).sentence
    again.session.close()
    refused = DrivenSession.resumed(tmp_path / "run", strategy="upper")
    assert "choose one of" in refused.last(OpenFailed).sentence
    assert DrivenSession.resumed(tmp_path / "run").opened.step == 2, (
        "the refusal left no lock behind"
    )


def test_a_checkpoint_can_be_the_starting_weights_of_another_run(
    folder: Path, tmp_path: Path
) -> None:
    driven = session(folder, tmp_path / "run")
    driven.do(Train, steps=2)
    trained = weights(driven)
    driven.session.close()
    file = tmp_path / "run" / "checkpoints" / "last.safetensors"
    other = session(folder, tmp_path / "other", weights=str(file))
    assert other.opened.pretrained
    for name, tensor in weights(other).items():
        assert name.startswith("fc.") or torch.equal(tensor, trained[name]), name


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run, folder: shutil.rmtree(run), "There is no run"),
        (lambda run, folder: (run / "config.json").write_text("{"), "is damaged"),
        (
            lambda run, folder: _change(run / "config.json", format=99),
            "written by a later tl-tui (format 99",
        ),
        (lambda run, folder: _change(run / "config.json", format=1), "--weights"),
        (lambda run, folder: shutil.rmtree(run / "checkpoints"), "ended before it had saved any"),
        (
            lambda run, folder: (run / "checkpoints" / "last.safetensors").write_bytes(b"x" * 99),
            "try --checkpoint best",
        ),
        (
            lambda run, folder: (folder / "train" / "dark").rename(folder / "train" / "night"),
            "has the classes",
        ),
    ],
)
def test_a_run_that_cannot_be_resumed_is_refused_with_the_reason(
    spoil, words: str, tmp_path: Path
) -> None:
    folder = draw_images(tmp_path / "images")
    driven = session(folder, tmp_path / "run")
    driven.do(Train, steps=1)
    driven.session.close()
    if "classes" in words:
        (folder / "val" / "dark").rename(folder / "val" / "night")
    spoil(tmp_path / "run", folder)
    again = DrivenSession.resumed(tmp_path / "run")
    assert words in again.last(OpenFailed).sentence
    assert again.session.run is None


def test_a_run_open_in_another_engine_is_refused(folder: Path, tmp_path: Path) -> None:
    driven = session(folder, tmp_path / "run")
    driven.do(Train, steps=1)
    assert read_run(tmp_path / "run").state == "idle"
    assert (
        "open in another engine"
        in DrivenSession.resumed(tmp_path / "run").last(OpenFailed).sentence
    )
    driven.session.close()
    assert read_run(tmp_path / "run").state == "done"


def test_changed_and_moved_images_are_reported(tmp_path: Path) -> None:
    folder = draw_images(tmp_path / "images")
    driven = session(folder, tmp_path / "run")
    driven.do(Train, steps=1)
    driven.session.close()
    next((folder / "train" / "dark").iterdir()).unlink()
    again = DrivenSession.resumed(tmp_path / "run")
    assert "24 + 12 then, 23 + 12 now" in " ".join(again.opened.notes)
    again.session.close()
    shutil.move(folder, tmp_path / "moved")
    assert (
        "there is no such"
        in DrivenSession.resumed(tmp_path / "run").last(OpenFailed).sentence.lower()
    )
    moved = DrivenSession.resumed(tmp_path / "run", data=str(tmp_path / "moved"))
    assert moved.opened.step == 1


def _change(file: Path, **fields: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))

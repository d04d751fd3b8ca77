"""Runs: training, checkpoints, several starts, and measurements that change nothing."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from engine.model import freezing
from engine.training import checkpoint
from tests.support.driven_session import DrivenSession, draw_images
from tl_tui.protocol.commands import (
    BeginCycle,
    Pause,
    RestoreLayer,
    SetMask,
    SetRate,
    SetRecipe,
    StartOver,
    Step,
    Train,
    UndoRestoreLayer,
    UndoStartOver,
)
from tl_tui.protocol.commands import TestLrRange as RangeTest
from tl_tui.protocol.events import Refused
from tl_tui.protocol.session import (
    CycleBegan,
    OpenFailed,
    RecipeChanged,
)
from tl_tui.protocol.training import CheckpointSaved, StepTaken, TrainBegan, TrainEnded, Validated
from tl_tui.settings.schedule import lr_factor

EPOCH = 3
"""Steps per epoch: 24 images in batches of 8."""


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


# --- training -----------------------------------------------------------------------------------


def test_training_runs_to_the_horizon_and_validates_after_each_epoch(options: dict) -> None:
    driven = DrivenSession(**options, epochs=2)
    events = driven.do(Train)
    assert driven.last(TrainBegan).to_step == 2 * EPOCH
    whole = [event for event in events if isinstance(event, Validated) and not event.yardstick]
    assert [(event.step, event.epoch) for event in whole] == [(3, 1), (6, 2)]
    for event in whole:
        assert sum(right for right, _ in event.per_class) == event.correct
        assert sum(total for _, total in event.per_class) == event.total == 12
    assert driven.last(TrainEnded).reason == "done"
    driven.do(Train)
    assert driven.last(TrainBegan).to_step == 4 * EPOCH, "past the end, another horizon"


def test_checkpoints_are_saved_at_the_requested_interval_and_after_each_epoch(
    options: dict,
) -> None:
    driven = DrivenSession(**options, epochs=2, checkpoint_every=2)
    driven.do(Train)
    saved = [event.step for event in driven.all(CheckpointSaved) if event.name == "last"]
    assert saved == [2, 3, 4, 6]


def test_the_learning_rate_follows_the_schedule_and_then_stays_at_its_floor(options: dict) -> None:
    driven = DrivenSession(**options, epochs=2, lr_schedule="cosine", warmup=0.2)
    driven.do(Train)
    driven.do(Step)
    expected = [lr_factor("cosine", done, 6, 0.2) for done in range(7)]
    assert [step.lr_factor for step in driven.all(StepTaken)] == pytest.approx(expected)
    driven.do(BeginCycle)
    assert driven.last(CycleBegan).cycle.after_step == 7
    driven.do(Step)
    assert driven.last(StepTaken).lr_factor == pytest.approx(expected[0])


def test_a_strategy_begins_a_new_cycle_and_a_mask_set_by_hand_does_not(options: dict) -> None:
    driven = DrivenSession(**options, epochs=2, lr_schedule="cosine")
    driven.do(Train, steps=2)
    driven.do(SetMask, trainable=driven.opened.strategies["feature-extraction"])
    driven.do(Step)
    assert not driven.all(CycleBegan)
    stage = driven.opened.strategies["last-stage"]
    driven.do(SetMask, trainable=stage, strategy="last-stage")
    assert not driven.all(CycleBegan), "the cycle begins only with the step"
    driven.do(Step)
    assert driven.last(CycleBegan).cycle.after_step == 3
    assert driven.last(StepTaken).lr_factor == 1.0


def test_pausing_and_continuing_changes_no_loss_and_no_weight(
    options: dict, tmp_path: Path
) -> None:
    whole = DrivenSession(**options, epochs=2, optimizer="adamw")
    whole.do(Train)
    paused = DrivenSession(
        **options | {"run_dir": str(tmp_path / "other")}, epochs=2, optimizer="adamw"
    )
    paused.send(Train)
    while len(paused.all(StepTaken)) < 4:
        paused.session.work()
    paused.do(Pause)
    assert paused.last(TrainEnded).reason == "paused"
    assert paused.last(CheckpointSaved).step == 4
    paused.do(Train)
    assert losses(paused) == losses(whole)
    assert same(weights(paused), weights(whole))


def test_rates_set_by_hand_and_a_new_recipe_apply_to_the_next_step(options: dict) -> None:
    driven = DrivenSession(**options)
    before = weights(driven)
    driven.do(SetRate, rows=(0, 1), rate=0.0)
    assert driven.last(RecipeChanged).rates[:3] == (0.0, 0.0, 0.003)
    driven.do(Step)
    after = weights(driven)
    still = [name for name in before if name.startswith(("conv1.", "layer1.0.conv"))]
    assert all(torch.equal(before[name], after[name]) for name in still)
    assert not torch.equal(before["layer1.1.conv1.weight"], after["layer1.1.conv1.weight"])
    recipe = driven.opened.recipe
    changed = type(recipe)(lr_head=0.5, lr_pretrained=0.25, optimizer="adamw", weight_decay=0.0)
    driven.do(SetRecipe, recipe=changed)
    assert driven.last(RecipeChanged).rates == (0.25,) * 9 + (0.5,)
    driven.do(Step)
    assert set(trainer_of(driven).optimizer.state()["fc.weight"]) >= {"exp_avg", "exp_avg_sq"}


@pytest.mark.parametrize(
    ("command", "fields", "reason"),
    [
        (SetRate, {"rows": (99,), "rate": 0.1}, "does not have"),
        (SetRate, {"rows": (0,), "rate": math.nan}, "0 or larger"),
        (SetMask, {"trainable": (9999,)}, "does not have"),
        (RestoreLayer, {"owners": (9999,)}, "does not have"),
        (UndoRestoreLayer, {}, "no restored layer to undo"),
        (UndoStartOver, {}, "no start over"),
    ],
)
def test_invalid_commands_are_refused_with_a_reason(options, command, fields, reason) -> None:
    driven = DrivenSession(**options)
    driven.do(command, **fields)
    assert reason in driven.last(Refused).reason


def test_range_test_and_start_over_are_refused_while_training(options: dict) -> None:
    driven = DrivenSession(**options)
    driven.send(Train, steps=5)
    driven.send(RangeTest)
    assert "pause it" in driven.last(Refused).reason
    driven.send(StartOver, weights="none")
    assert len(driven.all(Refused)) == 2


def test_an_interrupted_plan_keeps_its_horizon(options: dict) -> None:
    driven = DrivenSession(**options, plan="gradual", epochs=6, lr_schedule="cosine")
    driven.do(Train, steps=1)
    driven.do(SetMask, trainable=driven.opened.strategies["full"])
    assert driven.last(CycleBegan).cycle.steps == 6 * EPOCH
    driven.send(Train)
    assert driven.last(TrainBegan).to_step == 6 * EPOCH


def test_the_first_step_with_a_new_mask_is_measured(options: dict) -> None:
    driven = DrivenSession(**options, strategy="feature-extraction", probe_every=10)
    driven.do(Train, steps=3)
    driven.do(SetMask, trainable=driven.opened.strategies["last-stage"])
    driven.do(Train, steps=6)
    measured = [step.step for step in driven.all(StepTaken) if step.rows]
    assert measured == [1, 3, 4, 6], "the last step before an end is measured too"


def test_adamw_has_its_own_default_rate(options: dict) -> None:
    assert DrivenSession(**options, optimizer="adamw").opened.recipe.lr_head == 0.001
    assert DrivenSession(**options, optimizer="adamw", lr=0.5).opened.recipe.lr_head == 0.5


def test_bf16_trains_where_supported_and_is_refused_elsewhere(
    options: dict, tmp_path: Path
) -> None:
    plain = DrivenSession(**options)
    mixed = DrivenSession(**options | {"run_dir": str(tmp_path / "bf16"), "precision": "bf16"})
    if "bf16" not in plain.opened.precisions:
        assert "--precision bf16: cpu does not support it" in mixed.last(OpenFailed).sentence
        return
    for driven in (plain, mixed):
        driven.do(Train, steps=3)
    assert losses(mixed)[0] == pytest.approx(losses(plain)[0], rel=0.05)
    assert losses(mixed) != losses(plain)
    assert all(p.dtype == torch.float32 for p in trainer_of(mixed).model.parameters())


def test_a_pause_at_the_last_step_of_an_epoch_does_not_lose_its_validation(options: dict) -> None:
    driven = DrivenSession(**options, epochs=2)
    driven.send(Train)
    while len(driven.all(StepTaken)) < EPOCH:
        driven.session.work()
    driven.do(Pause)
    driven.do(Train)
    whole = [event.step for event in driven.all(Validated) if not event.yardstick]
    assert whole == [EPOCH, 2 * EPOCH]


def test_an_unwritable_journal_is_reported_once_and_does_not_end_the_run(options: dict) -> None:
    driven = DrivenSession(**options)
    driven.do(Step)
    journal = driven.session.run.journal._journal  # type: ignore[union-attr]
    full = open("/dev/full", "a", buffering=1)
    driven.session.run.journal._journal = full  # type: ignore[union-attr]
    driven.do(Train, steps=4)
    failures = [event.failure for event in driven.all(CheckpointSaved) if event.name == "journal"]
    assert len(failures) == 1 and "journal.jsonl cannot be written" in failures[0]
    assert driven.last(TrainEnded).reason == "done"
    driven.session.close()
    journal.close()  # type: ignore[union-attr]


# --- checkpoints --------------------------------------------------------------------------------


def test_a_checkpoint_holds_everything_a_step_changes(options: dict) -> None:
    driven = DrivenSession(**options, optimizer="adamw", strategy="last-stage", epochs=1)
    driven.do(Train)
    folder = Path(options["run_dir"]) / "checkpoints"
    read = checkpoint.read(folder / "last.safetensors")
    now = trainer_of(driven).snapshot()
    assert same(read.snapshot.tensors, now.tensors)
    assert read.snapshot.optimizer == "adamw"
    assert read.snapshot.optimizer_state.keys() == now.optimizer_state.keys()
    for name, state in now.optimizer_state.items():
        assert same(read.snapshot.optimizer_state[name], state)
    assert torch.equal(read.snapshot.cpu_random, now.cpu_random)
    assert read.snapshot.cursor == now.cursor == (1, 0)
    assert read.snapshot.applied == now.applied
    metadata = read.about
    assert metadata["classes"] == ["dark", "light"]
    assert metadata["trainable"] == ["layer4.0", "layer4.1", "fc"]
    assert metadata["transform"]["crop_size"] == 32 and len(metadata["transform"]["mean"]) == 3
    assert metadata["step"] == EPOCH and metadata["recipe"]["optimizer"] == "adamw"
    assert (folder / "best.safetensors").samefile(folder / "last.safetensors")


def test_unsaved_weights_are_saved_when_the_session_closes(options: dict) -> None:
    driven = DrivenSession(**options)
    driven.do(Step)
    last = Path(options["run_dir"]) / "checkpoints" / "last.safetensors"
    assert not last.exists()
    now = weights(driven)
    driven.session.close()
    assert same(checkpoint.read(last).snapshot.tensors, now)


def test_a_failed_save_is_reported_and_keeps_the_previous_checkpoint(options: dict) -> None:
    driven = DrivenSession(**options, epochs=1)
    driven.do(Train)
    folder = Path(options["run_dir"]) / "checkpoints"
    before = (folder / "last.safetensors").read_bytes()
    (folder / "last.safetensors.part").mkdir()
    driven.do(Train, steps=EPOCH + 1)
    assert "cannot be written" in driven.last(CheckpointSaved).failure
    assert driven.last(TrainEnded).reason == "done"
    assert (folder / "last.safetensors").read_bytes() == before


@pytest.mark.parametrize("length", [0, 7, 5000, -1])
def test_a_damaged_checkpoint_is_refused(options: dict, tmp_path: Path, length: int) -> None:
    driven = DrivenSession(**options)
    driven.do(Step)
    driven.session.close()
    last = Path(options["run_dir"]) / "checkpoints" / "last.safetensors"
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(last.read_bytes()[:length])
    with pytest.raises(checkpoint.CheckpointProblem, match="cannot be read"):
        checkpoint.read(damaged)


def test_channels_last_weights_keep_their_memory_format(tmp_path: Path, options: dict) -> None:
    driven = DrivenSession(**options)
    trainer = trainer_of(driven)
    trainer.model.to(memory_format=torch.channels_last)
    snapshot = trainer.snapshot()
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.write(path, snapshot, {})
    back = checkpoint.read(path).snapshot
    assert same(back.tensors, snapshot.tensors)
    weight = back.tensors["layer1.0.conv1.weight"]
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()


# --- starts -------------------------------------------------------------------------------------


# --- measurements ---------------------------------------------------------------------------------

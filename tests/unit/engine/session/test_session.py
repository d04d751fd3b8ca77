"""Sessions from opening to journal, driven in the test process."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from tests.support.driven_session import DrivenSession, draw_images
from tl_tui.common import json_codec
from tl_tui.protocol.checks import Audited, WeightDriftMeasured
from tl_tui.protocol.commands import (
    Audit,
    SetMask,
    SetNormMode,
    StartOver,
    Step,
    Train,
    UndoStartOver,
)
from tl_tui.protocol.events import Confirmed, Refused
from tl_tui.protocol.session import LoadingProgressed, NormModeChanged, OpenFailed, StartedOver
from tl_tui.protocol.training import (
    CheckpointSaved,
    ImageSkipped,
    StepNotApplied,
    StepTaken,
    TrainEnded,
    Validated,
)

thorough = pytest.mark.thorough


@pytest.fixture
def options(tmp_path: Path) -> dict:
    images = draw_images(tmp_path / "images")
    return {
        "data": str(images),
        "weights": "none",
        "device": "cpu",
        "image_size": 32,
        "batch_size": 4,
        "run_dir": str(tmp_path / "run"),
    }


def losses(driven: DrivenSession) -> list[float]:
    return [step.loss for step in driven.all(StepTaken)]


def test_opening_reports_its_stages_and_describes_the_session(options: dict) -> None:
    driven = DrivenSession(**options)
    done = [stage.stage for stage in driven.all(LoadingProgressed) if stage.done]
    assert done == ["torch", "data", "weights", "calibration", "warm-up"]
    opened = driven.opened
    assert opened.classes == ("dark", "light")
    assert (opened.train_images, opened.val_images, opened.yardstick) == (24, 12, 12)
    assert opened.strategy == "full" and not opened.pretrained
    assert opened.chance == 0.5
    assert any("BatchNorm statistics" in note for note in opened.notes)
    assert not Path(opened.run_dir).exists(), "nothing is written before the first step"


def test_a_step_is_measured_and_followed_by_the_yardstick(options: dict) -> None:
    driven = DrivenSession(**options)
    events = driven.do(Step)
    assert [type(event) for event in events] == [
        Confirmed,
        StepTaken,
        Validated,
        WeightDriftMeasured,
    ]
    step, validated = events[1], events[2]
    assert isinstance(step, StepTaken) and isinstance(validated, Validated)
    assert step.step == 1 and step.batch == 4 and len(step.rows) == 10
    assert validated.yardstick and validated.total == 12 and validated.step == 1


def test_a_second_step_is_refused_while_one_is_waiting(options: dict) -> None:
    driven = DrivenSession(**options)
    driven.send(Step)
    driven.send(Step)
    assert isinstance(driven.events[-1], Refused)
    while driven.session.work():
        pass
    assert len(driven.all(StepTaken)) == 1


def test_the_same_seed_gives_bit_identical_losses(options: dict) -> None:
    one, other = (
        DrivenSession(**options),
        DrivenSession(**options | {"run_dir": options["run_dir"] + "2"}),
    )
    for driven in (one, other):
        driven.do(Train, steps=4)
    assert losses(one) == losses(other)
    another = DrivenSession(**options | {"seed": 1, "run_dir": options["run_dir"] + "3"})
    another.do(Train, steps=4)
    assert losses(another) != losses(one)


def test_single_steps_and_training_use_the_same_sequence_of_batches(options: dict) -> None:
    one, other = (
        DrivenSession(**options),
        DrivenSession(**options | {"run_dir": options["run_dir"] + "2"}),
    )
    one.do(Train, steps=4)
    other.do(Step)
    other.do(Step)
    other.do(Train, steps=4)
    assert losses(one) == losses(other)


def test_changing_the_mask_and_back_between_steps_changes_nothing(options: dict) -> None:
    one, other = (
        DrivenSession(**options),
        DrivenSession(**options | {"run_dir": options["run_dir"] + "2"}),
    )
    for driven in (one, other):
        driven.do(Step)
    everything = one.opened.trainable
    for name in ("feature-extraction", "last-stage", "full"):
        one.do(SetMask, trainable=one.opened.strategies[name])
    one.do(SetMask, trainable=())
    one.do(SetMask, trainable=everything)
    for driven in (one, other):
        driven.do(Step)
        driven.do(Step)
    assert losses(one) == losses(other)


def test_the_mask_is_applied_at_the_next_step(options: dict) -> None:
    driven = DrivenSession(**options)
    head = driven.opened.strategies["feature-extraction"]
    driven.do(Step)
    driven.do(SetMask, trainable=head)
    assert set(driven.last(StepTaken).mask) == set(driven.opened.strategies["full"])
    driven.do(Step)
    step = driven.last(StepTaken)
    assert step.mask == head
    assert [row.reach for row in step.rows] == ["unreached"] * 9 + ["updated"]


def test_a_mask_set_after_a_step_was_requested_applies_to_the_step_after_it(options: dict) -> None:
    """The requested step may not have begun when the mask is set."""
    driven = DrivenSession(**options)
    driven.send(Step)
    driven.do(SetMask, trainable=driven.opened.strategies["feature-extraction"])
    assert set(driven.last(StepTaken).mask) == set(driven.opened.strategies["full"])
    driven.do(Step)
    assert driven.last(StepTaken).mask == driven.opened.strategies["feature-extraction"]


def test_a_step_with_everything_frozen_has_a_loss_and_updates_nothing(options: dict) -> None:
    driven = DrivenSession(**options)
    driven.do(SetMask, trainable=())
    driven.do(Step)
    step = driven.last(StepTaken)
    assert math.isfinite(step.loss) and {row.reach for row in step.rows} == {"unreached"}


def test_starting_over_repeats_the_losses_bit_for_bit_and_can_be_undone(options: dict) -> None:
    driven = DrivenSession(**options)
    driven.do(Train, steps=3)
    driven.do(StartOver)
    assert driven.last(StartedOver).from_step == 3
    driven.do(UndoStartOver)
    driven.do(Train, steps=5)
    whole = DrivenSession(**options | {"run_dir": options["run_dir"] + "2"})
    whole.do(Train, steps=5)
    assert losses(driven) == losses(whole), "after the undo, training continues as before"
    driven.do(StartOver)
    before = len(driven.all(StepTaken))
    driven.do(Train, steps=5)
    again = driven.all(StepTaken)[before:]
    assert [step.loss for step in again] == losses(whole)
    assert [step.step for step in again] == [1, 2, 3, 4, 5]
    driven.do(UndoStartOver)
    assert isinstance(driven.events[-1], Refused), "after a step it is too late"


def test_starting_over_restores_weights_buffers_and_optimizer(options: dict) -> None:
    driven = DrivenSession(**options)
    trainer = driven.session.run.trainer  # type: ignore[union-attr]
    start = {name: t.clone() for name, t in trainer.model.state_dict().items()}
    driven.do(Train, steps=2)
    assert any(not torch.equal(start[n], t) for n, t in trainer.model.state_dict().items())
    driven.do(StartOver)
    assert all(torch.equal(start[n], t) for n, t in trainer.model.state_dict().items())
    assert not trainer.optimizer.state()


def test_training_ends_with_a_full_validation_and_a_checkpoint(options: dict) -> None:
    driven = DrivenSession(**options)
    events = driven.do(Train, steps=3)
    assert [type(event) for event in events[-5:]] == [
        Validated,
        WeightDriftMeasured,
        CheckpointSaved,
        CheckpointSaved,
        TrainEnded,
    ]
    assert [saved.name for saved in driven.all(CheckpointSaved)][-2:] == ["last", "best"]
    validated = driven.last(Validated)
    assert not validated.yardstick and validated.total == 12


def test_every_nth_step_and_the_last_one_are_measured(options: dict) -> None:
    driven = DrivenSession(**options | {"probe_every": 3})
    driven.do(Train, steps=7)
    assert [step.step for step in driven.all(StepTaken) if step.rows] == [1, 4, 7]


def test_the_audit_finds_a_batchnorm_switched_to_train_mode(options: dict) -> None:
    driven = DrivenSession(**options)
    driven.do(SetMask, trainable=driven.opened.strategies["feature-extraction"])
    driven.do(Audit)
    assert driven.last(Audited).findings == ()
    norm = next(i for i, owner in enumerate(driven.opened.stack.owners) if owner.norm)
    driven.do(SetNormMode, owners=(norm,), mode="train")
    assert driven.last(NormModeChanged).mode == "train"
    driven.do(Audit)
    assert {f.tensor for f in driven.last(Audited).findings} >= {"bn1.running_mean"}
    convolution = next(i for i, o in enumerate(driven.opened.stack.owners) if not o.norm)
    driven.do(SetNormMode, owners=(convolution,), mode="train")
    assert isinstance(driven.events[-1], Refused)


def test_the_journal_is_strict_json_even_with_nan_losses(options: dict) -> None:
    driven = DrivenSession(**options | {"lr": 1e18, "probe_every": 1})
    driven.do(Train, steps=3)
    driven.session.close()
    assert all(math.isfinite(loss) for loss in losses(driven))
    refused = driven.last(StepNotApplied)
    assert refused.loss is not None and not math.isfinite(refused.loss)
    assert driven.last(TrainEnded).reason == "failed"

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    text = (Path(options["run_dir"]) / "journal.jsonl").read_text()
    lines = [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
    steps = [line for line in lines if line["event"] == "step"]
    assert [step["step"] for step in steps] == list(range(1, refused.step))
    refused_line = next(line for line in lines if line["event"] == "step_not_applied")
    assert refused_line["loss"] in ("nan", "inf")
    back = json_codec.loads(next(line for line in text.splitlines() if "step_not_applied" in line))
    assert isinstance(back["loss"], float)
    config = json.loads((Path(options["run_dir"]) / "config.json").read_text())
    assert config["arch"] == "resnet18" and config["format"] == 2
    assert [line["event"] for line in lines[:4]] == ["train", "command", "mask", "step"]


def test_an_unreadable_training_image_is_skipped_and_named(options: dict) -> None:
    broken = Path(options["data"]) / "train" / "dark" / "000.png"
    broken.write_bytes(broken.read_bytes()[:50])
    driven = DrivenSession(**options)
    driven.do(Train, steps=6)
    skipped = driven.all(ImageSkipped)
    assert [event.path for event in skipped] == [str(broken)] and skipped[0].total == 1
    assert sum(step.batch for step in driven.all(StepTaken)) == 23
    assert "image_skipped" in (Path(options["run_dir"]) / "journal.jsonl").read_text()


def test_an_unreadable_validation_image_is_skipped_and_named(options: dict) -> None:
    broken = Path(options["data"]) / "val" / "light" / "000.png"
    broken.write_bytes(b"")
    driven = DrivenSession(**options)
    driven.do(Step)
    assert [event.path for event in driven.all(ImageSkipped)] == [str(broken)]
    assert driven.last(Validated).total == 11


def test_pretrained_layers_get_a_tenth_of_the_rate(options: dict, tmp_path: Path) -> None:
    import torchvision

    torch.manual_seed(5)
    file = tmp_path / "backbone.pth"
    torch.save(torchvision.models.resnet18().state_dict(), file)
    driven = DrivenSession(**options | {"weights": str(file)})
    opened = driven.opened
    assert opened.pretrained and opened.strategy == "feature-extraction"
    assert opened.recipe.lr_pretrained == pytest.approx(opened.recipe.lr_head / 10)
    assert opened.rates == (opened.recipe.lr_pretrained,) * 9 + (opened.recipe.lr_head,)
    assert opened.weights == "file backbone.pth"


def test_the_demo_learns_from_the_demo_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run of a new user without internet access: the head alone, 30 steps."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY"):  # refuses connections
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    driven = DrivenSession(device="cpu", run_dir=str(tmp_path / "run"))
    opened = driven.opened
    assert opened.weights == "demo backbone" and opened.pretrained
    assert "resnet18-f37072fd.pth" in opened.weights_reason
    assert opened.strategy == "feature-extraction"
    assert any("no substitute for ImageNet weights" in note for note in opened.notes)
    driven.do(Train, steps=30)
    values = losses(driven)
    assert sum(values[-5:]) < sum(values[:5])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arch": "resnet19"}, ["--arch resnet19", "resnet18"]),
        ({"data": "/nowhere/at/all"}, ["/nowhere/at/all", "no such folder"]),
        ({"batch_size": 1000}, ["--batch-size 1000", "24"]),
        ({"batch_size": 1}, ["--batch-size 1", "2"]),
        ({"trainable": ("layr4",)}, ["layr4", "layer4"]),
        ({"trainable": ("",)}, ["--trainable", "layer4"]),
        ({"run_dir": "/proc/run"}, ["--run-dir /proc/run", "another folder"]),
        ({"strategy": "everything"}, ["--strategy everything", "full"]),
        ({"weights": "demo", "arch": "resnet34"}, ["--weights demo", "resnet18"]),
        ({"weights": "IMAGENET1K_V7"}, ["IMAGENET1K_V7", "IMAGENET1K_V1"]),
        ({"weights": "missing.pth"}, ["missing.pth", "no such file"]),
        ({"image_size": 16}, ["--image-size 16", "32"]),
        ({"arch": "vit_b_16", "image_size": 64, "batch_size": 2}, None),
    ],
)
def test_invalid_configurations_are_refused_with_the_option_and_the_fix(
    options: dict, change: dict, words: list[str] | None
) -> None:
    driven = DrivenSession(**options | change)
    if words is None:  # a ViT with random weights is built for the requested size
        assert driven.opened.image_size == 64
        return
    failed = driven.last(OpenFailed)
    for word in words:
        assert word in failed.sentence
    assert "\n" not in failed.sentence and "Traceback" not in failed.sentence


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_requesting_cuda_without_a_gpu_names_the_option_for_the_cpu(options: dict) -> None:
    failed = DrivenSession(**options | {"device": "cuda"}).last(OpenFailed)
    assert "--device cpu" in failed.sentence


def test_a_run_directory_below_a_file_is_refused(options: dict, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failed = DrivenSession(**options | {"run_dir": str(tmp_path / "file" / "run")}).last(OpenFailed)
    assert "is a file" in failed.sentence and "--run-dir" in failed.sentence


def test_a_session_can_be_opened_after_a_refused_configuration(options: dict) -> None:
    from tl_tui.protocol.commands import Open
    from tl_tui.protocol.config import RunConfig

    driven = DrivenSession(**options | {"arch": "resnet19"})
    driven.do(Open, config=RunConfig(**options))
    assert driven.opened.arch == "resnet18"


@pytest.mark.parametrize(
    "strategy",
    [
        "full",
        *(pytest.param(name, marks=thorough) for name in ("feature-extraction", "last-stage")),
    ],
)
def test_resnet152_with_random_weights_starts_at_a_plausible_loss(
    options: dict, strategy: str
) -> None:
    driven = DrivenSession(
        **options | {"arch": "resnet152", "strategy": strategy, "image_size": 64}
    )
    driven.do(Step)
    assert 0.4 < driven.last(StepTaken).loss < 1.2

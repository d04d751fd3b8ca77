"""What only a GPU can show. Run together with the GPU benchmarks by `benchmarks/gpu.sh`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine import checkpoint, freezing, price_model
from engine.devices import choose_device
from engine.protocol import (
    MeasurePrice,
    PriceMeasured,
    Recipe,
    SetMask,
    StartOver,
    Step,
    StepTaken,
    Train,
)
from engine.stack import Stack
from engine.trainer import Trainer
from tests.sessions import Driven, draw_images
from tests.twins import SGD, FixedBatches, small_resnet

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here"),
]


def trainer_on(device: str) -> Trainer:
    model = small_resnet().to(device)
    stack = Stack(model, torch.zeros(1, 3, 64, 64, device=device))
    batches = FixedBatches(size=64, count=16)
    return Trainer(
        stack,
        batches,  # type: ignore[arg-type]
        torch.device(device),
        Recipe(lr_head=0.01, lr_pretrained=0.001, **SGD),
    )


@pytest.fixture
def full_precision():  # type: ignore[no-untyped-def]
    """TF32 would be compared with fp32 otherwise."""
    kept = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = kept


def test_the_gpu_reports_what_the_cpu_reports(full_precision: None) -> None:
    host, gpu = trainer_on("cpu"), trainer_on("cuda")
    for names in (["fc"], ["layer2", "fc"], ["conv1"]):
        mask = freezing.select(host.stack, names)
        one = host.step(mask, {}, measured=True)
        other = gpu.step(mask, {}, measured=True)
        assert one.loss == pytest.approx(other.loss, rel=1e-3)
        assert one.measurement is not None and other.measurement is not None
        for a, b in zip(one.measurement.owners, other.measurement.owners, strict=True):
            assert a.reach == b.reach
            assert a.weight_norm == pytest.approx(b.weight_norm, rel=1e-3)
            if a.grad_norm is not None:
                assert a.grad_norm == pytest.approx(b.grad_norm, rel=2e-2)


def test_arrival_is_timed_by_events_of_the_gpu_itself() -> None:
    trainer = trainer_on("cuda")
    everything = frozenset(range(len(trainer.stack.owners)))
    for _ in range(2):
        measured = trainer.step(everything, {}, measured=True).measurement
    assert measured is not None
    times = [row.arrival_ms for row in measured.rows]
    assert all(time is not None and 0 <= time <= measured.backward_ms for time in times)
    assert times == sorted(times, reverse=True)  # type: ignore[type-var]


def test_frozen_layers_stay_bit_identical_on_the_gpu() -> None:
    trainer = trainer_on("cuda")
    mask = freezing.strategies(trainer.stack)["last-stage"]
    frozen = freezing.frozen_tensors(trainer.stack, mask)
    before = {name: tensor.clone() for name, tensor in frozen.items()}
    for _ in range(3):
        trainer.step(mask, {}, measured=False)
    after = freezing.frozen_tensors(trainer.stack, mask)
    assert freezing.changed_tensors(before, after) == []


def test_auto_takes_the_gpu() -> None:
    chosen = choose_device("auto")
    assert chosen.device.type == "cuda" and chosen.memory_total and not chosen.warning


def test_a_session_on_the_gpu_starts_over_and_repeats(tmp_path: Path) -> None:
    driven = Driven(
        data=str(draw_images(tmp_path / "images")),
        weights="none",
        device="cuda",
        image_size=64,
        batch_size=8,
        run_dir=str(tmp_path / "run"),
    )
    driven.do(Step)
    step = driven.last(StepTaken)
    assert step.memory_used and driven.opened.device.startswith("cuda:0")
    driven.do(Train, steps=5)
    driven.do(StartOver)
    driven.do(Train, steps=5)
    losses = [step.loss for step in driven.all(StepTaken)]
    assert losses[5:] == pytest.approx(losses[:5], rel=1e-3)


def test_mixed_precision_learns_and_keeps_fp32_weights(tmp_path: Path) -> None:
    images = str(draw_images(tmp_path / "images"))
    losses = {}
    for precision in ("fp32", "bf16"):
        driven = Driven(
            data=images,
            weights="none",
            device="cuda",
            image_size=64,
            batch_size=8,
            precision=precision,
            run_dir=str(tmp_path / precision),
        )
        assert "bf16" in driven.opened.precisions
        driven.do(Train, steps=6)
        assert driven.session.run is not None
        parameters = driven.session.run.trainer.model.parameters()
        assert all(parameter.dtype == torch.float32 for parameter in parameters)
        losses[precision] = [step.loss for step in driven.all(StepTaken)]
    assert losses["bf16"][0] == pytest.approx(losses["fp32"][0], rel=0.05)
    assert losses["bf16"] != losses["fp32"]


def test_a_checkpoint_of_the_gpu_holds_its_random_state(tmp_path: Path) -> None:
    driven = Driven(
        data=str(draw_images(tmp_path / "images")),
        weights="none",
        device="cuda",
        image_size=64,
        batch_size=8,
        epochs=1,
        run_dir=str(tmp_path / "run"),
    )
    driven.do(Train)
    assert driven.session.run is not None
    now = driven.session.run.trainer.snapshot()
    back = checkpoint.read(tmp_path / "run" / "checkpoints" / "last.safetensors").snapshot
    assert freezing.changed_tensors(back.tensors, now.tensors) == []
    assert torch.equal(back.device_random, now.device_random)  # type: ignore[arg-type]


def test_the_price_of_a_step_is_what_the_gpu_allocates(tmp_path: Path) -> None:
    driven = Driven(
        data=str(draw_images(tmp_path / "images")),
        weights="none",
        device="cuda",
        image_size=128,
        batch_size=16,
        run_dir=str(tmp_path / "run"),
    )
    driven.do(MeasurePrice)
    price, stack = driven.last(PriceMeasured), driven.opened.stack
    parents = [owner.parents for owner in stack.owners]
    for name in ("feature-extraction", "full"):
        driven.do(SetMask, trainable=driven.opened.strategies[name])
        driven.do(Step)
        before = torch.cuda.memory_allocated()
        driven.do(Step)
        added = (driven.last(StepTaken).memory_used or 0) - before
        predicted = price_model.predict(price, parents, driven.opened.strategies[name])
        # The optimizer's state is there already at the second step.
        assert predicted.peak_bytes <= 2 * max(added, 2**28)
        assert predicted.peak_bytes >= added / 2

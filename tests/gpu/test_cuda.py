"""What only a GPU can show. Run together with the GPU benchmarks by `benchmarks/gpu.sh`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from engine.hardware.devices import choose_device
from engine.model import freezing
from engine.model.layer_stack import Stack
from engine.training import checkpoint
from engine.training.cuda_graphs import CudaGraphs
from engine.training.step_errors import NotFinite
from engine.training.trainer import Trainer
from tests.support.driven_session import DrivenSession, draw_images
from tests.support.plain_training import SGD, FixedBatches, small_resnet
from tl_tui.estimates import cost_model
from tl_tui.protocol.checks import StepCostMeasured
from tl_tui.protocol.commands import MeasureStepCost, SetMask, StartOver, Step, Train
from tl_tui.protocol.config import Recipe
from tl_tui.protocol.training import StepTaken

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
    driven = DrivenSession(
        data=str(draw_images(tmp_path / "images")),
        weights="none",
        device="cuda",
        image_size=64,
        batch_size=8,
        run_dir=str(tmp_path / "run"),
        deterministic=True,
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
        driven = DrivenSession(
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
    driven = DrivenSession(
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
    driven = DrivenSession(
        data=str(draw_images(tmp_path / "images")),
        weights="none",
        device="cuda",
        image_size=128,
        batch_size=16,
        run_dir=str(tmp_path / "run"),
    )
    driven.do(MeasureStepCost)
    price, stack = driven.last(StepCostMeasured), driven.opened.stack
    parents = [owner.parents for owner in stack.owners]
    for name in ("feature-extraction", "full"):
        driven.do(SetMask, trainable=driven.opened.strategies[name])
        driven.do(Step)
        before = torch.cuda.memory_allocated()
        driven.do(Step)
        added = (driven.last(StepTaken).memory_used or 0) - before
        predicted = cost_model.predict_step_cost(price, parents, driven.opened.strategies[name])
        # The optimizer's state is there already at the second step.
        assert predicted.peak_bytes <= 2 * max(added, 2**28)
        assert predicted.peak_bytes >= added / 2


# --- captured steps -----------------------------------------------------------------------------


def capturing(
    model: nn.Module, size: int = 64, lr: float = 1e-3, *, captured: bool = True, **recipe: object
) -> Trainer:
    model = model.to("cuda")
    stack = Stack(model, torch.zeros(1, 3, size, size, device="cuda"))
    chosen = Recipe(**{**SGD, "lr_head": lr, "lr_pretrained": lr, **recipe})  # type: ignore[arg-type]
    batches = FixedBatches(size=size, count=8)
    trainer = Trainer(stack, batches, torch.device("cuda"), chosen)  # type: ignore[arg-type]
    if captured:
        trainer.cuda_graphs = CudaGraphs(trainer.probe, trainer.device)
    return trainer


@pytest.fixture
def repeatable(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Kernels that add up in the same order every time."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("arch", ["resnet18", "regnet_y_400mf", "densenet121", "vit_b_16"])
@pytest.mark.parametrize("recipe", [{}, {"optimizer": "adamw"}, {"precision": "bf16"}])
def test_a_captured_step_is_the_eager_one(arch: str, recipe: dict, repeatable: None) -> None:
    if recipe and arch != "resnet18":
        pytest.skip("one model is enough for each")
    size = 224 if arch.startswith("vit") else 64
    twins = []
    for captured in (False, True):
        torch.manual_seed(0)
        model = torchvision.models.get_model(arch, num_classes=2)
        twins.append(capturing(model, size, 1e-4, captured=captured, **recipe))
    eager, captured = twins
    strategies = freezing.strategies(eager.stack)
    order = [strategies[name] for name in ("last-stage", "full", "feature-extraction")]
    order.append(freezing.select(eager.stack, [eager.stack.rows[2].name]))
    for mask in dict.fromkeys(order):  # a model of few stages has one twice
        for step in range(6):
            watched = step in (2, 3, 5)
            frozen = freezing.frozen_tensors(captured.stack, mask)
            before = {name: tensor.clone() for name, tensor in frozen.items()}
            one = eager.step(mask, {}, measured=watched)
            other = captured.step(mask, {}, measured=watched, replayed=True)
            assert other.captured is (step in (1, 3, 4, 5)) and not one.captured
            assert other.loss == pytest.approx(one.loss, rel=1e-3)
            assert freezing.changed_tensors(before, frozen) == []
            if one.measurement is None or other.measurement is None:
                continue
            for a, b in zip(one.measurement.owners, other.measurement.owners, strict=True):
                assert a.reach == b.reach
                assert (a.grad_norm is None) is (b.grad_norm is None)
                assert (b.grad_norm or 0) == pytest.approx(a.grad_norm or 0, rel=0.05, abs=1e-4)
            times = [row.arrival_ms for row in other.measurement.rows if row.arrival_ms is not None]
            assert all(0 <= time <= other.measurement.backward_ms for time in times)
            assert times and other.memory_used
    for (name, one), (_, other) in zip(eager.tensors(), captured.tensors(), strict=True):
        assert torch.allclose(one.double(), other.double(), rtol=1e-2, atol=1e-3), name


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_replay_that_is_not_finite_changes_nothing(optimizer: str) -> None:
    trainer = capturing(small_resnet(), optimizer=optimizer)
    everything = frozenset(range(len(trainer.stack.owners)))
    for _ in range(3):
        trainer.step(everything, {}, measured=False, replayed=True)
    before = trainer.snapshot()
    sound = trainer.batches.at  # type: ignore[attr-defined]

    def broken(position: int):  # type: ignore[no-untyped-def]
        batch = sound(position)
        batch.images[0, 0, 0, 0] = float("nan")
        return batch

    trainer.batches.at = broken  # type: ignore[attr-defined]
    with pytest.raises(NotFinite) as refused:
        trainer.step(everything, {}, measured=False, replayed=True)
    assert refused.value.what == "images"
    after = trainer.snapshot()
    assert freezing.changed_tensors(before.tensors, after.tensors) == []
    for name, state in before.optimizer_state.items():
        for key, value in state.items():
            assert torch.equal(value, after.optimizer_state[name][key])
    trainer.batches.at = sound  # type: ignore[attr-defined]
    assert trainer.step(everything, {}, measured=False, replayed=True).captured


def test_every_replay_draws_its_own_dropout() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Dropout(0.5), nn.LazyLinear(2))
    model(torch.zeros(1, 3, 64, 64))
    trainer = capturing(model, lr=0.0)
    trainer.batches.take = lambda **_: trainer.batches.at(0)  # type: ignore[attr-defined, method-assign]
    mask = frozenset(range(len(trainer.stack.owners)))
    taken = [trainer.step(mask, {}, measured=False, replayed=True) for _ in range(6)]
    assert [step.captured for step in taken] == [False, *[True] * 5]
    assert len({step.loss for step in taken}) == 6


class _Asks(nn.Module):
    """Looks at a value in its forward pass, which no graph can hold."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values if float(values.sum()) else values + 1


def test_a_model_that_cannot_be_captured_is_run_eagerly_and_says_why() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), _Asks(), nn.Flatten(), nn.Linear(8 * 62 * 62, 2))
    trainer = capturing(model)
    mask = frozenset(range(len(trainer.stack.owners)))
    taken = [trainer.step(mask, {}, measured=False, replayed=True) for _ in range(4)]
    assert not any(step.captured for step in taken) and len({step.loss for step in taken}) == 4
    assert trainer.cuda_graphs is not None and "cannot be captured" in trainer.cuda_graphs.why


@pytest.mark.parametrize("strategy", ["full", "feature-extraction"])
def test_a_run_is_captured_and_a_single_step_is_not(strategy: str, tmp_path: Path) -> None:
    driven = DrivenSession(
        data=str(draw_images(tmp_path / "images")),
        weights="none",
        image_size=64,
        batch_size=8,
        run_dir=str(tmp_path / "run"),
        memory_format="channels-last",
        strategy=strategy,
        epochs=4,
    )
    driven.do(Train)
    driven.do(Step)
    how = [step.captured for step in driven.all(StepTaken)]
    assert how[0] is False and how[-1] is False and sum(how) > 6
    assert all(step.memory_used for step in driven.all(StepTaken))
    cached = {step.cached_rows > 0 for step in driven.all(StepTaken) if step.captured}
    # In the first epoch the cache is filled: the layers below were executed then.
    assert cached == ({False} if strategy == "full" else {False, True})
    journal = (tmp_path / "run" / "journal.jsonl").read_text()
    assert journal.count('"captured":true') == sum(how)

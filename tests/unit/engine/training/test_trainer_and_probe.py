"""Every number and every reach that a step reports, against plain PyTorch on a twin model."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model import freezing
from tests.support.plain_training import PlainTraining, make_trainer, small_resnet
from tl_tui.estimates.gradient_reach import combine_reach, predict_reach
from tl_tui.protocol.training import LayerMeasurement

OWNERS = 25  # of `small_resnet`; asserted below


def norm(tensors: list[torch.Tensor]) -> float:
    return math.sqrt(sum(float(t.double().square().sum()) for t in tensors))


def expected(twin_step, names: list[str], owners: list[str]) -> LayerMeasurement:  # type: ignore[no-untyped-def]
    """What a layer that consists of these owners has to report."""
    mine = [name for name in names if name.rpartition(".")[0] in owners]
    got = [name for name in mine if name in twin_step.grad]
    reach = "updated" if got else "passed" if any(twin_step.arrives[o] for o in owners) else None
    change = [twin_step.after[name] - twin_step.before[name] for name in got]
    return LayerMeasurement(
        reach=reach or "unreached",  # type: ignore[arg-type]
        grad_norm=norm([twin_step.grad[name] for name in got]) if got else None,
        weight_norm=norm([twin_step.before[name] for name in mine]),
        update_ratio=norm(change) / norm([twin_step.before[name] for name in got]) if got else None,
        nonfinite=0,
        arrival_ms=None,
    )


def assert_equal(measured: LayerMeasurement, wanted: LayerMeasurement, name: str) -> None:
    assert measured.reach == wanted.reach, name
    # fp32 sums of a million squares, as torch takes them, are good to a few parts in 100,000.
    assert measured.weight_norm == pytest.approx(wanted.weight_norm, rel=1e-4), name
    assert measured.nonfinite == 0
    if wanted.grad_norm is None:
        assert measured.grad_norm is None and measured.update_ratio is None, name
        return
    assert measured.grad_norm == pytest.approx(wanted.grad_norm, rel=1e-4, abs=1e-9), name
    # The weights themselves are rounded to fp32 when the change is added to them.
    assert measured.update_ratio == pytest.approx(wanted.update_ratio, rel=2e-2, abs=1e-9), name
    assert (measured.arrival_ms is not None) == (measured.reach != "unreached")


@settings(max_examples=25, deadline=None)
@given(masks=st.lists(st.frozensets(st.integers(0, OWNERS - 1)), min_size=2, max_size=3))
def test_random_masks_report_what_autograd_gives(masks: list[frozenset[int]]) -> None:
    trainer = make_trainer(small_resnet())
    stack = trainer.stack
    assert len(stack.owners) == OWNERS
    twin = PlainTraining(trainer)
    parameter_names = [name for name, _ in trainer.model.named_parameters()]
    for position, mask in enumerate(masks):
        result = trainer.step(mask, {}, measured=True)
        by_hand = twin.step(mask, position)
        assert result.loss == pytest.approx(by_hand.loss, rel=1e-4)
        measurement = result.measurement
        assert measurement is not None
        for owner, measured in zip(stack.owners, measurement.owners, strict=True):
            assert_equal(measured, expected(by_hand, parameter_names, [owner.name]), owner.name)
        for row, measured in zip(stack.rows, measurement.rows, strict=True):
            inside = [stack.owners[owner].name for owner in row.owners]
            assert_equal(measured, expected(by_hand, parameter_names, inside), row.name)
        predicted = predict_reach([owner.parents for owner in stack.owners], mask)
        assert predicted == [measured.reach for measured in measurement.owners]
        for row, measured in zip(stack.rows, measurement.rows, strict=True):
            assert combine_reach(predicted[owner] for owner in row.owners) == measured.reach
        # And the weights themselves went where plain SGD takes them.
        for name, parameter in trainer.model.named_parameters():
            torch.testing.assert_close(parameter, by_hand.after[name], rtol=1e-4, atol=1e-6)


def test_the_frozen_middle_is_passed() -> None:
    trainer = make_trainer(small_resnet())
    mask = freezing.select(trainer.stack, ["layer2", "fc"])
    twin = PlainTraining(trainer)
    measured = trainer.step(mask, {}, measured=True).measurement
    by_hand = twin.step(mask, 0)
    assert measured is not None
    reach = {row.name: m.reach for row, m in zip(trainer.stack.rows, measured.rows, strict=True)}
    assert reach == {
        "conv1": "unreached",
        "layer1.0": "unreached",
        "layer2.0": "updated",
        "layer3.0": "passed",
        "layer4.0": "passed",
        "fc": "updated",
    }
    assert by_hand.arrives["layer4.0.conv1"] and "layer4.0.conv1.weight" not in by_hand.grad
    assert not by_hand.arrives["layer1.0.bn2"]


def test_ancestry_inside_a_block_is_the_graphs_not_the_lists() -> None:
    trainer = make_trainer(small_resnet())
    names = [owner.name for owner in trainer.stack.owners]
    mask = frozenset({names.index("layer2.0.conv1")})
    measured = trainer.step(mask, {}, measured=True).measurement
    assert measured is not None
    reach = dict(zip(names, (m.reach for m in measured.owners), strict=True))
    assert names.index("layer2.0.downsample.0") > names.index("layer2.0.conv1")
    assert reach["layer2.0.downsample.0"] == "unreached"
    assert reach["layer2.0.bn2"] == "passed"
    assert reach["fc"] == "passed"


def test_arrival_runs_from_the_loss_downwards() -> None:
    trainer = make_trainer(small_resnet())
    everything = frozenset(range(len(trainer.stack.owners)))
    measured = trainer.step(everything, {}, measured=True).measurement
    assert measured is not None
    times = [row.arrival_ms for row in measured.rows]
    assert all(time is not None and 0 <= time <= measured.backward_ms for time in times)
    assert times == sorted(times, reverse=True)  # type: ignore[type-var]


def test_a_measured_step_is_the_same_step() -> None:
    watched, bare = make_trainer(small_resnet()), make_trainer(small_resnet())
    mask = freezing.strategies(watched.stack)["last-stage"]
    for _ in range(3):
        one = watched.step(mask, {}, measured=True)
        other = bare.step(mask, {}, measured=False)
        assert one.loss == other.loss and one.correct == other.correct
    for (name, a), b in zip(
        watched.model.state_dict().items(), bare.model.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name


def test_all_frozen_runs_the_forward_pass_alone() -> None:
    trainer = make_trainer(small_resnet())
    before = {name: t.clone() for name, t in trainer.model.state_dict().items()}
    result = trainer.step(frozenset(), {}, measured=True)
    assert math.isfinite(result.loss) and result.measurement is not None
    assert {row.reach for row in result.measurement.rows} == {"unreached"}
    assert not freezing.changed_tensors(before, trainer.model.state_dict())


def test_numbers_beyond_fp32_squares_are_exact() -> None:
    """A gradient of 1e25 is finite, though its square is not."""
    trainer = make_trainer(small_resnet(), lr_head=0.0, lr_pretrained=0.0)
    everything = frozenset(range(len(trainer.stack.owners)))
    trainer.model.fc.weight.register_hook(lambda grad: torch.full_like(grad, 1e25))  # type: ignore[union-attr, operator]
    measured = trainer.step(everything, {}, measured=True).measurement
    assert measured is not None
    head = measured.rows[-1]
    assert head.nonfinite == 0
    assert head.grad_norm == pytest.approx(1e25 * math.sqrt(1024), rel=1e-4)

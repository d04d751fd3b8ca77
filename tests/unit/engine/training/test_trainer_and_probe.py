"""The numbers and reaches that a step reports equal those of plain PyTorch on a twin model."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model import freezing
from tests.support.plain_training import OWNERS, PlainTraining, make_trainer, small_resnet
from tests.support.property_tests import examples
from tl_tui.estimates.gradient_reach import combine_reach, predict_reach
from tl_tui.protocol.training import LayerMeasurement


def norm(tensors: list[torch.Tensor]) -> float:
    return math.sqrt(sum(float(t.double().square().sum()) for t in tensors))


def expected_measurement(twin_step, names: list[str], owners: list[str]) -> LayerMeasurement:  # type: ignore[no-untyped-def]
    """Return the expected measurement of a layer that consists of these owners."""
    own = [name for name in names if name.rpartition(".")[0] in owners]
    received = [name for name in own if name in twin_step.grad]
    arrived = any(twin_step.arrives[owner] for owner in owners)
    change = norm([twin_step.after[name] - twin_step.before[name] for name in received])
    weight = norm([twin_step.before[name] for name in received])
    return LayerMeasurement(
        reach="updated" if received else "passed" if arrived else "unreached",
        grad_norm=norm([twin_step.grad[name] for name in received]) if received else None,
        weight_norm=norm([twin_step.before[name] for name in own]),
        update_ratio=change / weight if received else None,
        nonfinite=0,
        arrival_ms=None,
    )


def assert_equal(measured: LayerMeasurement, expected: LayerMeasurement, name: str) -> None:
    assert measured.reach == expected.reach, name
    # torch's fp32 sums of a million squares are accurate to a few parts in 100,000.
    assert measured.weight_norm == pytest.approx(expected.weight_norm, rel=1e-4), name
    assert measured.nonfinite == 0
    if expected.grad_norm is None:
        assert measured.grad_norm is None and measured.update_ratio is None, name
        return
    assert measured.grad_norm == pytest.approx(expected.grad_norm, rel=1e-4, abs=1e-9), name
    # Weights are rounded to fp32 when the change is added.
    assert measured.update_ratio == pytest.approx(expected.update_ratio, rel=2e-2, abs=1e-9), name
    assert (measured.arrival_ms is not None) == (measured.reach != "unreached")


@settings(max_examples=examples(15, 25), deadline=None)
@given(masks=st.lists(st.frozensets(st.integers(0, OWNERS - 1)), min_size=2, max_size=3))
def test_measurements_for_random_masks_equal_those_of_plain_autograd(
    masks: list[frozenset[int]],
) -> None:
    trainer = make_trainer(small_resnet())
    stack = trainer.stack
    assert len(stack.owners) == OWNERS
    twin = PlainTraining(trainer)
    parameter_names = [name for name, _ in trainer.model.named_parameters()]
    for position, mask in enumerate(masks):
        result = trainer.step(mask, {}, measured=True)
        twin_step = twin.step(mask, position)
        assert result.loss == pytest.approx(twin_step.loss, rel=1e-4)
        measurement = result.measurement
        assert measurement is not None
        for owner, measured in zip(stack.owners, measurement.owners, strict=True):
            assert_equal(
                measured, expected_measurement(twin_step, parameter_names, [owner.name]), owner.name
            )
        for row, measured in zip(stack.rows, measurement.rows, strict=True):
            inside = [stack.owners[owner].name for owner in row.owners]
            assert_equal(
                measured, expected_measurement(twin_step, parameter_names, inside), row.name
            )
        predicted = predict_reach([owner.parents for owner in stack.owners], mask)
        assert predicted == [measured.reach for measured in measurement.owners]
        for row, measured in zip(stack.rows, measurement.rows, strict=True):
            assert combine_reach(predicted[owner] for owner in row.owners) == measured.reach
        # The weights equal those of plain SGD.
        for name, parameter in trainer.model.named_parameters():
            torch.testing.assert_close(parameter, twin_step.after[name], rtol=1e-4, atol=1e-6)


def test_gradients_pass_through_frozen_layers_in_the_middle() -> None:
    trainer = make_trainer(small_resnet())
    mask = freezing.select(trainer.stack, ["layer2", "fc"])
    twin = PlainTraining(trainer)
    measured = trainer.step(mask, {}, measured=True).measurement
    twin_step = twin.step(mask, 0)
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
    assert twin_step.arrives["layer4.0.conv1"] and "layer4.0.conv1.weight" not in twin_step.grad
    assert not twin_step.arrives["layer1.0.bn2"]


def test_reach_inside_a_block_follows_the_graph_not_the_list_order() -> None:
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


def test_gradients_arrive_from_the_head_downwards() -> None:
    trainer = make_trainer(small_resnet())
    everything = frozenset(range(len(trainer.stack.owners)))
    measured = trainer.step(everything, {}, measured=True).measurement
    assert measured is not None
    times = [row.arrival_ms for row in measured.rows]
    assert all(time is not None and 0 <= time <= measured.backward_ms for time in times)
    assert times == sorted(times, reverse=True)  # type: ignore[type-var]


def test_measuring_a_step_does_not_change_it() -> None:
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


def test_with_all_layers_frozen_a_step_only_runs_the_forward_pass() -> None:
    trainer = make_trainer(small_resnet())
    before = {name: t.clone() for name, t in trainer.model.state_dict().items()}
    result = trainer.step(frozenset(), {}, measured=True)
    assert math.isfinite(result.loss) and result.measurement is not None
    assert {row.reach for row in result.measurement.rows} == {"unreached"}
    assert not freezing.changed_tensors(before, trainer.model.state_dict())


def test_norms_whose_squares_overflow_in_fp32_are_correct() -> None:
    """A gradient of 1e25 is finite, but its square is not."""
    trainer = make_trainer(small_resnet(), lr_head=0.0, lr_pretrained=0.0)
    everything = frozenset(range(len(trainer.stack.owners)))
    trainer.model.fc.weight.register_hook(lambda grad: torch.full_like(grad, 1e25))  # type: ignore[union-attr, operator]
    measured = trainer.step(everything, {}, measured=True).measurement
    assert measured is not None
    head = measured.rows[-1]
    assert head.nonfinite == 0
    assert head.grad_norm == pytest.approx(1e25 * math.sqrt(1024), rel=1e-4)

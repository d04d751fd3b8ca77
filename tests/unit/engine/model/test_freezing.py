"""Frozen layers do not change, and names and strategies select the right layers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from engine.model import freezing
from tests.support.plain_training import OWNERS, make_trainer, small_resnet


@settings(max_examples=15, deadline=None)
@given(masks=st.lists(st.frozensets(st.integers(0, OWNERS - 1)), min_size=2, max_size=4))
def test_frozen_layers_stay_bit_identical(masks: list[frozenset[int]]) -> None:
    """Any sequence of masks, with momentum and weight decay, leaves frozen layers unchanged."""
    trainer = make_trainer(small_resnet(), lr_head=0.1, lr_pretrained=0.1)
    for mask in masks:
        frozen = freezing.frozen_tensors(trainer.stack, mask)
        before = {name: tensor.clone() for name, tensor in frozen.items()}
        trainer.step(mask, {}, measured=False)
        after = freezing.frozen_tensors(trainer.stack, mask)
        assert freezing.changed_tensors(before, after) == []


def test_trainable_layers_change() -> None:
    """The comparison of the test above detects changes."""
    trainer = make_trainer(small_resnet(), lr_head=0.1, lr_pretrained=0.1)
    everything = frozenset(range(len(trainer.stack.owners)))
    before = {name: t.clone() for name, t in trainer.model.state_dict().items()}
    trainer.step(everything, {}, measured=False)
    changed = freezing.changed_tensors(before, trainer.model.state_dict())
    assert set(changed) == set(before)


def test_a_frozen_batchnorm_stays_in_eval_mode_after_train_is_called() -> None:
    trainer = make_trainer(small_resnet())
    mask = freezing.strategies(trainer.stack)["last-stage"]
    trainer.model.train()
    trainer.step(mask, {}, measured=False)
    modes = {
        name: module.training
        for name, module in trainer.model.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    assert {name for name, training in modes.items() if training} == {
        "layer4.0.bn1",
        "layer4.0.bn2",
        "layer4.0.downsample.1",
    }


def test_freezing_drops_momentum_and_unfreezing_starts_from_zero() -> None:
    trainer = make_trainer(small_resnet())
    strategies = freezing.strategies(trainer.stack)
    weight = trainer.model.layer4[0].conv1.weight  # type: ignore[union-attr, index]
    trainer.step(strategies["last-stage"], {}, measured=False)
    assert trainer.optimizer.torch.state[weight]["momentum_buffer"].norm() > 0
    trainer.step(strategies["feature-extraction"], {}, measured=False)
    assert weight not in trainer.optimizer.torch.state
    trainer.apply(strategies["last-stage"], {})
    assert trainer.optimizer.torch.state[weight]["momentum_buffer"].norm() == 0


def test_names_select_layers_stages_and_modules() -> None:
    stack = make_trainer(small_resnet()).stack
    names = [owner.name for owner in stack.owners]

    def chosen(*what: str) -> set[str]:
        return {names[index] for index in freezing.select(stack, what)}

    assert chosen("fc") == {"fc"}
    assert chosen("layer2.0.bn1") == {"layer2.0.bn1"}
    assert chosen("layer1") == chosen("layer1.0") == {n for n in names if n.startswith("layer1.")}
    assert chosen("layer2.0.downsample") == {"layer2.0.downsample.0", "layer2.0.downsample.1"}
    with pytest.raises(freezing.UnknownLayer, match=r"layr4.*did you mean .*layer4"):
        freezing.select(stack, ["layr4"])


def test_strategies_train_the_expected_stages() -> None:
    stack = make_trainer(small_resnet()).stack
    names = [owner.name for owner in stack.owners]
    tops = {
        strategy: {names[owner].split(".")[0] for owner in mask}
        for strategy, mask in freezing.strategies(stack).items()
    }
    assert tops["feature-extraction"] == {"fc"}
    assert tops["last-stage"] == {"fc", "layer4"}
    assert tops["last-two-stages"] == {"fc", "layer4", "layer3"}
    assert tops["full"] == {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"}

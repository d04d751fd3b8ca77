"""Steps that cannot be applied change nothing, and report where the problem started."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engine.model.layer_stack import Stack
from engine.session.step_failure_event import not_finite_sentence
from engine.training.step_errors import HalfUpdated, NotFinite, OutOfMemory
from engine.training.trainer import Trainer
from tests.support.plain_training import SGD, FixedBatches, make_trainer, small_resnet
from tl_tui.protocol.config import Recipe


def everything(trainer: Trainer) -> dict[str, Tensor]:
    """Return weights, buffers, optimizer state, random state and position, by name."""
    snapshot = trainer.snapshot()
    state = {
        f"{name}/{key}": value
        for name, values in snapshot.optimizer_state.items()
        for key, value in values.items()
    }
    position = torch.tensor(snapshot.cursor)
    return {**snapshot.tensors, **state, "random": snapshot.cpu_random, "position": position}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def full(trainer: Trainer) -> frozenset[int]:
    return frozenset(range(len(trainer.stack.owners)))


def fail_for_memory(*_: object) -> None:
    """Raise the error of torch's CPU allocator, with a size that no machine has."""
    torch.empty(1 << 50)


def fail_in_backward(_: object, __: object, output: Tensor) -> None:
    output.register_hook(fail_for_memory)


def a_nan_weight(trainer: Trainer) -> None:
    with torch.no_grad():
        trainer.model.layer2[0].conv1.weight[0, 0, 0, 0] = math.nan  # type: ignore[union-attr, index]


def a_nan_output(trainer: Trainer) -> None:
    trainer.model.layer3.register_forward_hook(lambda *given: given[2] * math.nan)  # type: ignore[union-attr]


def a_nan_gradient(trainer: Trainer) -> None:
    trainer.model.layer2[0].conv2.weight.register_hook(lambda grad: grad * math.inf)  # type: ignore[union-attr, index]


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("measured", [False, True])
@pytest.mark.parametrize(
    ("break_it", "what", "where"),
    [
        (a_nan_weight, "weights", "layer2.0.conv1"),
        (a_nan_output, "output", "layer4.0.conv1"),  # the first owner after the hook
        (a_nan_gradient, "gradient", "layer2.0.conv2"),
    ],
)
def test_a_step_with_a_value_that_is_not_finite_changes_nothing(
    break_it: Callable[[Trainer], None], what: str, where: str, measured: bool, gated: bool
) -> None:
    """On a GPU the step is gated: the optimizer itself skips the update."""
    trainer = make_trainer(small_resnet())
    trainer.optimizer.gated = gated
    trainer.step(full(trainer), {}, measured=True)
    break_it(trainer)
    before = everything(trainer)
    with pytest.raises(NotFinite) as caught:
        trainer.step(full(trainer), {}, measured=measured)
    assert (caught.value.what, trainer.stack.owners[caught.value.owner or 0].name) == (what, where)
    after = everything(trainer)
    assert [
        n for n in before if not torch.equal(before[n].nan_to_num(7), after[n].nan_to_num(7))
    ] == []
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_a_gated_step_equals_an_ungated_step() -> None:
    trainer, gated = make_trainer(small_resnet()), make_trainer(small_resnet())
    gated.optimizer.gated = True
    for measured in (True, False, True):
        one = trainer.step(full(trainer), {}, measured=measured)
        other = gated.step(full(gated), {}, measured=measured)
        assert (one.loss, one.correct) == (other.loss, other.correct)
        if one.measurement is not None and other.measurement is not None:
            for a, b in zip(one.measurement.owners, other.measurement.owners, strict=True):
                assert (a.reach, a.grad_norm, a.weight_norm) == (
                    b.reach,
                    b.grad_norm,
                    b.weight_norm,
                )
                assert a.update_ratio == b.update_ratio
    assert same(everything(trainer), everything(gated))


@pytest.mark.parametrize("gated", [False, True])
def test_gradients_whose_squares_overflow_are_applied(gated: bool) -> None:
    trainer = make_trainer(small_resnet(), lr_head=0.0, lr_pretrained=0.0)
    trainer.optimizer.gated = gated
    weight = trainer.stack.owners[-1].parameters[0]
    weight.register_hook(lambda gradient: torch.full_like(gradient, 1e25))
    trainer.optimizer.torch.param_groups[-1]["weight_decay"] = 0.0
    trainer.step(full(trainer), {}, measured=False)
    momentum = trainer.optimizer.torch.state[weight]["momentum_buffer"]
    assert (momentum == 1e25).all()


def test_the_message_names_the_layer() -> None:
    refused = NotFinite(math.inf, "output", 3)
    sentence = not_finite_sentence(refused, 1204, "layer3.1", "layer3.1.conv2", "rates")
    assert sentence.startswith("Step 1,204 was not applied, and everything is as before it: ")
    assert "the loss is infinite" in sentence and "layer3.1 (layer3.1.conv2)" in sentence


@pytest.mark.parametrize("pass_name", ["forward", "backward"])
def test_a_step_that_runs_out_of_memory_changes_nothing(pass_name: str) -> None:
    """The failed step has another mask than the one before, which is restored as well."""
    trainer, twin = make_trainer(small_resnet()), make_trainer(small_resnet())
    for each in (trainer, twin):
        each.step(frozenset(range(20, 25)), {}, measured=False)
    before = everything(trainer)
    hook = trainer.model.layer3.register_forward_hook(  # type: ignore[union-attr]
        fail_for_memory if pass_name == "forward" else fail_in_backward
    )
    with pytest.raises(OutOfMemory):
        trainer.step(full(trainer), {}, measured=True)
    assert same(everything(trainer), before)
    hook.remove()
    for each in (trainer, twin):
        each.step(full(trainer), {}, measured=False)
    assert same(everything(trainer), everything(twin)), "the failed step changed the next one"


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_memory_for_the_update_is_checked_before_any_weight_changes(
    optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(small_resnet(), torch.zeros(1, 3, 32, 32))
    recipe = Recipe(lr_head=0.01, lr_pretrained=0.001, **SGD | {"optimizer": optimizer})
    trainer = Trainer(stack, FixedBatches(32), torch.device("cpu"), recipe)  # type: ignore[arg-type]
    before = everything(trainer)
    monkeypatch.setattr(trainer.optimizer, "make_room", fail_for_memory)
    with pytest.raises(OutOfMemory):
        trainer.step(full(trainer), {}, measured=False)
    assert same(everything(trainer), before) and trainer.whole


def test_an_update_that_fails_midway_marks_the_trainer_as_not_whole() -> None:
    trainer = make_trainer(small_resnet())
    trainer.optimizer.torch.register_step_post_hook(fail_for_memory)
    with pytest.raises(HalfUpdated):
        trainer.step(full(trainer), {}, measured=False)
    assert not trainer.whole

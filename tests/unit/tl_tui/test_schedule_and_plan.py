"""Schedules, layer-wise rates and plans; schedules are compared with PyTorch's own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tl_tui.common.errors import Problem
from tl_tui.protocol.config import Recipe
from tl_tui.settings import plan as plans
from tl_tui.settings.recipe import base_rates, check_recipe
from tl_tui.settings.schedule import COSINE_FLOOR, is_over, lr_factor

SCHEDULES = st.sampled_from(["constant", "cosine", "one-cycle"])


def torch_factors(make, steps: int) -> list[float]:
    """Return the factors of one of PyTorch's schedulers, step by step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    factors = []
    for _ in range(steps):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return factors


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_cosine_agrees_with_pytorch(steps: int) -> None:
    expected = torch_factors(
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, steps, eta_min=COSINE_FLOOR), steps
    )
    assert [lr_factor("cosine", done, steps) for done in range(steps)] == pytest.approx(expected)


@pytest.mark.parametrize("steps", [10, 30, 100])
def test_one_cycle_agrees_with_pytorch(steps: int) -> None:
    expected = torch_factors(
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=steps), steps
    )
    ours = [lr_factor("one-cycle", done, steps) for done in range(steps)]
    # PyTorch's peak is at .3 * steps - 1; ours is one step later.
    assert ours[0] == pytest.approx(expected[0]) and ours[-1] == pytest.approx(expected[-1])
    assert max(ours) == pytest.approx(max(expected), rel=0.02)


@given(SCHEDULES, st.integers(1, 500), st.integers(0, 1500), st.floats(0, 0.9))
def test_factors_are_above_0_and_at_most_1(schedule, steps, done, warmup) -> None:
    assert 0 < lr_factor(schedule, done, steps, warmup) <= 1


@given(SCHEDULES, st.integers(2, 300), st.floats(0, 0.9), st.integers(0, 300))
def test_after_its_last_step_the_factor_stays_at_its_final_value(
    schedule, steps, warmup, beyond
) -> None:
    assert is_over(steps + beyond, steps) and not is_over(steps - 1, steps)
    floor = lr_factor(schedule, steps, steps, warmup)
    assert lr_factor(schedule, steps + beyond, steps, warmup) == pytest.approx(floor)


@given(st.sampled_from(["cosine", "one-cycle"]), st.integers(20, 300), st.floats(0.05, 0.9))
def test_the_factor_rises_to_1_and_then_falls(schedule, steps, warmup) -> None:
    factors = [lr_factor(schedule, done, steps, warmup) for done in range(steps)]
    top = factors.index(max(factors))
    assert factors[top] > 0.9
    assert all(a <= b for a, b in zip(factors[:top], factors[1 : top + 1], strict=True))
    assert all(a >= b for a, b in zip(factors[top:-1], factors[top + 1 :], strict=True))


# --- layer-wise rates ---------------------------------------------------------------------------


def test_the_head_has_its_own_rate_and_each_lower_row_a_share_of_the_one_above() -> None:
    rows = [SimpleNamespace(head=False)] * 3 + [SimpleNamespace(head=True)]
    recipe = Recipe(lr_head=0.1, lr_pretrained=0.01, lr_decay=0.5, weight_decay=0)
    assert base_rates(recipe, rows) == pytest.approx((0.0025, 0.005, 0.01, 0.1))


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"lr_head": float("nan")}, "--lr nan"),
        ({"lr_pretrained": -1.0}, "--lr-pretrained -1"),
        ({"lr_decay": 1.5}, "--lr-decay 1.5"),
        ({"momentum": 1.0}, "--momentum 1.0"),
        ({"weight_decay": float("inf")}, "--weight-decay inf"),
        ({"warmup": 0.95}, "--warmup 0.95"),
        ({"epochs": 0}, "--epochs 0"),
    ],
)
def test_a_recipe_with_numbers_out_of_range_is_refused(change: dict, option: str) -> None:
    fields = {"lr_head": 0.1, "lr_pretrained": 0.01, "weight_decay": 0.0} | change
    with pytest.raises(Problem, match=option):
        check_recipe(Recipe(**fields))


# --- plans --------------------------------------------------------------------------------------

FROM_TOP = [("head", {4}), ("layer4", {3, 4}), ("layer3", {2, 3, 4}), ("stem", {0, 1, 2, 3, 4})]


def make(name, **changes):
    options = {"epochs": 10, "phase_epochs": None, "batches_per_epoch": 8, "after_step": 5}
    return plans.make_plan(name, FROM_TOP, **(options | changes))


def test_lp_ft_trains_the_head_and_then_everything() -> None:
    plan = make("lp-ft", epochs=5)
    assert [(p.name, p.trainable, p.after_step, p.steps, p.epoch) for p in plan.phases] == [
        ("head", (4,), 5, 16, 1),
        ("full", (0, 1, 2, 3, 4), 21, 24, 3),
    ]
    assert plans.end_of_plan(plan) == 5 + 5 * 8


def test_gradual_adds_one_stage_per_phase() -> None:
    plan = make("gradual", phase_epochs=2)
    assert [phase.name for phase in plan.phases] == ["head", "layer4", "layer3", "stem"]
    assert [phase.epoch for phase in plan.phases] == [1, 3, 5, 7]
    assert [phase.steps for phase in plan.phases] == [16, 16, 16, 32]
    assert plans.phase_at(plan, 5 + 16).name == "layer4"
    assert plans.phase_at(plan, 5 + 15).name == "head"
    assert plans.phase_at(plan, 10_000).name == "stem"


@given(st.sampled_from(["lp-ft", "gradual"]), st.integers(1, 40), st.integers(1, 12))
def test_phases_follow_each_other_without_gaps(name, epochs, phase_epochs) -> None:
    least = plans.least_epochs(name, FROM_TOP, phase_epochs)
    if epochs < least:
        with pytest.raises(Problem, match=f"need at least {least} epochs"):
            make(name, epochs=epochs, phase_epochs=phase_epochs)
        return
    plan = make(name, epochs=epochs, phase_epochs=phase_epochs)
    for phase, following in zip(plan.phases, plan.phases[1:], strict=False):
        assert phase.after_step + phase.steps == following.after_step
        assert set(phase.trainable) < set(following.trainable)
    assert sum(phase.steps for phase in plan.phases) == epochs * 8

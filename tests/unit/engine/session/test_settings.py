"""Settings of the next steps: phases of plans, resumed plans, rates set by hand."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.support.driven_session import DrivenSession, draw_images
from tl_tui.protocol.commands import Pause, SetMask, SetRate, SetRecipe, Step, Train
from tl_tui.protocol.session import CycleBegan, MaskPlanned, PlanChanged, RecipeChanged
from tl_tui.protocol.training import StepTaken, Validated

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


def losses(driven: DrivenSession) -> list[float]:
    return [step.loss for step in driven.all(StepTaken)]


def test_a_phase_begins_after_the_validation_of_the_previous_epoch(options: dict) -> None:
    driven = DrivenSession(**options, plan="gradual", epochs=7)
    driven.do(Train, steps=2 * EPOCH)
    order = [
        "phase" if isinstance(event, MaskPlanned) else "validation"
        for event in driven.events
        if isinstance(event, MaskPlanned) or (isinstance(event, Validated) and not event.yardstick)
    ]
    assert order == ["validation", "phase", "validation", "phase"]
    assert [event.reason for event in driven.all(MaskPlanned)] == [
        "plan gradual: layer4",
        "plan gradual: layer3",
    ]


def test_a_pause_before_the_validation_does_not_lose_the_next_phase(
    options: dict, tmp_path: Path
) -> None:
    whole = DrivenSession(**options, plan="gradual", epochs=7)
    whole.do(Train, steps=2 * EPOCH)
    for number, command in enumerate((Train, Step)):
        paused = DrivenSession(
            **options | {"run_dir": str(tmp_path / f"{number}")}, plan="gradual", epochs=7
        )
        paused.send(Train)
        while len(paused.all(StepTaken)) < EPOCH:
            paused.session.work()
        if command is Train:
            paused.do(Pause)
            assert [event.reason for event in paused.all(MaskPlanned)] == ["plan gradual: layer4"]
            paused.do(Train, steps=2 * EPOCH)
        else:
            paused.send(Step)
            while len(paused.all(StepTaken)) < 2 * EPOCH:
                paused.session.work()
        assert losses(paused) == losses(whole)
        assert [s.mask for s in paused.all(StepTaken)] == [s.mask for s in whole.all(StepTaken)]


def test_a_plan_resumes_if_its_interruption_is_undone_before_a_step(
    options: dict, tmp_path: Path
) -> None:
    plain = DrivenSession(**options, plan="gradual", epochs=7, lr_schedule="cosine")
    plain.do(Train, steps=2 * EPOCH)
    driven = DrivenSession(
        **options | {"run_dir": str(tmp_path / "other")},
        plan="gradual",
        epochs=7,
        lr_schedule="cosine",
    )
    driven.do(Train, steps=1)
    head, full = driven.opened.trainable, driven.opened.strategies["full"]
    driven.do(SetMask, trainable=full)
    assert driven.last(PlanChanged).plan is None
    driven.do(SetMask, trainable=head)
    assert driven.last(PlanChanged).plan == driven.opened.plan
    assert driven.last(CycleBegan).cycle == driven.opened.cycle
    driven.do(Train, steps=2 * EPOCH)
    assert losses(driven) == losses(plain)
    driven.do(SetMask, trainable=full)
    driven.do(Step)
    driven.do(SetMask, trainable=head)
    assert driven.last(PlanChanged).plan is None, "a step was taken without it"


def test_rates_set_by_hand_stay_until_the_recipes_rates_change(options: dict) -> None:
    driven = DrivenSession(**options)
    recipe = driven.opened.recipe
    driven.do(SetRate, rows=(0,), rate=0.5)
    driven.do(SetRecipe, recipe=msgspec.structs.replace(recipe, weight_decay=0.0))
    assert driven.last(RecipeChanged).rates[0] == 0.5
    driven.do(SetRecipe, recipe=msgspec.structs.replace(recipe, lr_head=0.2, lr_pretrained=0.1))
    assert set(driven.last(RecipeChanged).rates) == {0.1, 0.2}

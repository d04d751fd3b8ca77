"""Runs in which the user changes one setting after another, to be repeated in other ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tests.support.driven_session import DrivenSession
from tl_tui.protocol.commands import (
    SetMask,
    SetNormMode,
    SetRate,
    SetRecipe,
    StartOver,
    Step,
    Train,
)

Action = Callable[[DrivenSession], object]

EPOCH = 3
"""Steps per epoch: the 24 images of `draw_images` in batches of 8."""


def train_to(step: int) -> Action:
    return lambda driven: driven.do(Train, steps=step)


def masks(driven: DrivenSession) -> list[Action]:
    """Freeze and thaw layers, and set a rate and the mode of a BatchNorm by hand."""
    named = driven.opened.strategies
    owners = [owner.name for owner in driven.opened.stack.owners]
    norm = owners.index("stage2.0.branch1.1")
    return [
        train_to(2),
        lambda d: d.do(SetMask, trainable=named["full"], strategy="full"),
        train_to(3),
        lambda d: d.do(SetRate, rows=(0, 4), rate=0.02),
        lambda d: d.do(SetNormMode, owners=(norm,), mode="eval"),
        train_to(5),
        lambda d: d.do(SetMask, trainable=named["last-stage"], strategy="last-stage"),
        train_to(7),
    ]


def plan(driven: DrivenSession) -> list[Action]:
    """Follow a plan over epochs, with a cosine schedule and warm-up."""
    return [train_to(2), train_to(EPOCH), train_to(EPOCH + 2), train_to(3 * EPOCH)]


def other_starts(driven: DrivenSession) -> list[Action]:
    """Augment and balance the images, start over, and change the recipe."""
    recipe = msgspec.structs.replace(driven.opened.recipe, lr_head=0.05, weight_decay=0.01)
    return [
        train_to(2),
        lambda d: d.do(StartOver),
        train_to(1),
        lambda d: d.do(SetRecipe, recipe=recipe),
        train_to(EPOCH + 1),
        lambda d: d.do(Step),
    ]


HISTORIES: dict[str, tuple[dict[str, Any], Callable[[DrivenSession], list[Action]]]] = {
    "masks": ({"strategy": "feature-extraction", "probe_every": 2}, masks),
    "plan": (
        {
            "plan": "gradual",
            "epochs": 7,
            "lr_schedule": "cosine",
            "warmup": 0.2,
            "optimizer": "adamw",
        },
        plan,
    ),
    "starts": ({"augmentation": "standard", "balance": True, "strategy": "full"}, other_starts),
}
"""The options of each session, and a function that returns the actions to perform in it."""

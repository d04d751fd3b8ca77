"""The training recipe: from what was asked and the defaults table, and what it means for each row.

Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from tl_tui.common.errors import Problem
from tl_tui.protocol.config import Recipe, RunConfig
from tl_tui.settings.defaults import Defaults

LARGEST = 1e30
"""Of rates and decay: a larger one overflows in the update and ends the engine."""
EPOCHS = 10
"""The horizon where none is asked for."""


def recipe_of(config: RunConfig, table: Defaults) -> Recipe:
    """The recipe of a run.

    Args:
        config: What was asked; None leaves it to the table.
        table: The defaults for this start and device.
    """
    usual = table.lr_adamw if config.optimizer == "adamw" else table.lr_head
    lr_head = usual if config.lr is None else config.lr
    tenth = lr_head * table.lr_pretrained / table.lr_head
    asked = {
        "optimizer": config.optimizer,
        "lr_pretrained": config.lr_pretrained,
        "lr_decay": config.lr_decay,
        "momentum": config.momentum,
        "weight_decay": config.weight_decay,
        "schedule": config.lr_schedule,
        "warmup": config.warmup,
        "epochs": config.epochs,
        "augmentation": config.augmentation,
        "precision": config.precision,
    }
    recipe = Recipe(
        lr_head=lr_head,
        lr_pretrained=tenth,
        momentum=table.momentum,
        weight_decay=table.weight_decay,
        epochs=EPOCHS,
        balance=config.balance,
    )
    changed = {name: value for name, value in asked.items() if value is not None}
    return msgspec.structs.replace(recipe, **changed)


def check_recipe(recipe: Recipe) -> None:
    """Refuse a recipe that cannot be trained with.

    Raises:
        Problem: names the option, what is wrong with it, and what it may be.
    """
    for option, value in (
        ("--lr", recipe.lr_head),
        ("--lr-pretrained", recipe.lr_pretrained),
        ("--weight-decay", recipe.weight_decay),
    ):
        if not (math.isfinite(value) and value >= 0):
            raise Problem(f"{option} {value}: it must be a finite number from 0 on.")
        if value > LARGEST:
            raise Problem(
                f"{option} {value:g}: the largest that fp32 can work with is {LARGEST:g}."
            )
    for option, value, most in (
        ("--lr-decay", recipe.lr_decay, 1.0),
        ("--momentum", recipe.momentum, 0.9999),
        ("--warmup", recipe.warmup, 0.9),
    ):
        if not 0 <= value <= most:
            raise Problem(f"{option} {value}: it must be a number from 0 to {most:g}.")
    if recipe.epochs < 1:
        raise Problem(f"--epochs {recipe.epochs}: the least is 1.")


class _Row(Protocol):
    @property
    def head(self) -> bool: ...


def base_rates(recipe: Recipe, rows: Sequence[_Row]) -> tuple[float, ...]:
    """The base learning rate of each row, input first.

    The head has its own; the highest pretrained row has `lr_pretrained`, and every row below it
    `lr_decay` times that of the row above (ULMFiT, Howard and Ruder, ACL 2018, arXiv:1801.06146,
    took 1/2.6 a group).
    """
    below = [place for place, row in enumerate(rows) if not row.head]
    rates = [recipe.lr_head] * len(rows)
    for distance, place in enumerate(reversed(below)):
        rates[place] = recipe.lr_pretrained * recipe.lr_decay**distance
    return tuple(rates)


def choices_of(recipe: Recipe) -> dict[str, Any]:
    """The fields of `RunConfig` that ask for this recipe: the inverse of `recipe_of`."""
    return {
        "optimizer": recipe.optimizer,
        "lr": recipe.lr_head,
        "lr_pretrained": recipe.lr_pretrained,
        "lr_decay": recipe.lr_decay,
        "momentum": recipe.momentum if recipe.optimizer == "sgd" else None,
        "weight_decay": recipe.weight_decay,
        "lr_schedule": recipe.schedule,
        "warmup": recipe.warmup,
        "epochs": recipe.epochs,
        "augmentation": recipe.augmentation,
        "balance": recipe.balance,
        "precision": recipe.precision,
    }

"""The training recipe: made from options and defaults, checked, and its rates for each row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from tl_tui.common.errors import Problem
from tl_tui.protocol.config import Recipe, RunConfig
from tl_tui.settings.defaults import Defaults

LARGEST = 1e30
"""The largest learning rate and weight decay; larger ones overflow in the update."""
EPOCHS = 10
"""The default number of epochs."""


def recipe_of(config: RunConfig, table: Defaults) -> Recipe:
    """Return the recipe of a run.

    Args:
        config: The options of the run.
        table: The defaults for its weights and device.
    """
    default_lr = table.lr_adamw if config.optimizer == "adamw" else table.lr_head
    lr_head = default_lr if config.lr is None else config.lr
    options = {
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
        lr_pretrained=lr_head * table.lr_pretrained / table.lr_head,
        momentum=table.momentum,
        weight_decay=table.weight_decay,
        epochs=EPOCHS,
        balance=config.balance,
    )
    given = {name: value for name, value in options.items() if value is not None}
    return msgspec.structs.replace(recipe, **given)


def check_recipe(recipe: Recipe) -> None:
    """Check that the numbers of a recipe are in their ranges.

    Raises:
        Problem: A number is out of its range; the text names the option and the range.
    """
    for option, value in (
        ("--lr", recipe.lr_head),
        ("--lr-pretrained", recipe.lr_pretrained),
        ("--weight-decay", recipe.weight_decay),
    ):
        if not (math.isfinite(value) and value >= 0):
            raise Problem(f"{option} {value}: it must be a finite number, 0 or more.")
        if value > LARGEST:
            raise Problem(f"{option} {value:g}: it must be at most {LARGEST:g}, the limit of fp32.")
    for option, value, maximum in (
        ("--lr-decay", recipe.lr_decay, 1.0),
        ("--momentum", recipe.momentum, 0.9999),
        ("--warmup", recipe.warmup, 0.9),
    ):
        if not 0 <= value <= maximum:
            raise Problem(f"{option} {value}: it must be a number from 0 to {maximum:g}.")
    if recipe.epochs < 1:
        raise Problem(f"--epochs {recipe.epochs}: it must be at least 1.")


class _Row(Protocol):
    @property
    def head(self) -> bool: ...


def base_rates(recipe: Recipe, rows: Sequence[_Row]) -> tuple[float, ...]:
    """Return the base learning rate of each row, input first.

    The head's is `lr_head`. The last pretrained row's is `lr_pretrained`, and that of each row
    before it is `lr_decay` times the rate of the row after it.

    Reference:
        Howard and Ruder, ULMFiT, ACL 2018, arXiv:1801.06146, which divides by 2.6 per group.
    """
    pretrained = [index for index, row in enumerate(rows) if not row.head]
    rates = [recipe.lr_head] * len(rows)
    for distance, index in enumerate(reversed(pretrained)):
        rates[index] = recipe.lr_pretrained * recipe.lr_decay**distance
    return tuple(rates)


def choices_of(recipe: Recipe) -> dict[str, Any]:
    """Return the fields of `RunConfig` that give this recipe: the inverse of `recipe_of`."""
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

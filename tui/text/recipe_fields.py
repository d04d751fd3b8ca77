"""The choices of a recipe, as a list to go through: their names, values, and what is wrong."""

from __future__ import annotations

import math
import typing
from dataclasses import dataclass

import msgspec

from tl_tui.protocol.config import Augmentation, Optimizer, Precision, Recipe, Schedule
from tl_tui.settings.recipe import LARGEST
from tl_tui.settings.schedule import ONE_CYCLE_WARMUP
from tui.state.rate_ladder import next_rate

MOST_EPOCHS = 100_000


@dataclass(frozen=True)
class Field:
    """One choice: one of a few words, or a number."""

    name: str
    """Of `Recipe`."""
    label: str
    words: tuple[str, ...] = ()
    """What it may be; empty for a number."""
    most: float = LARGEST
    """Of a number, which is 0 or more."""
    whole: bool = False
    ladder: tuple[float, ...] = ()
    """What left and right go through; empty for 1, 2, 5 of each power of ten."""


FIELDS: tuple[Field, ...] = (
    Field("optimizer", "optimizer", words=typing.get_args(Optimizer)),
    Field("lr_head", "learning rate, head"),
    Field("lr_pretrained", "learning rate, pretrained"),
    Field("lr_decay", "decay per layer below", most=1.0, ladder=tuple(n / 20 for n in range(21))),
    Field("momentum", "momentum", most=0.9999, ladder=(0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)),
    Field("weight_decay", "weight decay"),
    Field("schedule", "schedule", words=typing.get_args(Schedule)),
    Field("warmup", "warm-up, share of it", most=0.9, ladder=tuple(n / 20 for n in range(19))),
    Field("epochs", "epochs", most=MOST_EPOCHS, whole=True),
    Field("augmentation", "augmentation", words=typing.get_args(Augmentation)),
    Field("balance", "balance classes", words=("no", "yes")),
    Field("precision", "precision", words=typing.get_args(Precision)),
)
FROM_ZERO = 1e-5
"""What a step up from a rate or a weight decay of 0 gives."""


def shown(field: Field, recipe: Recipe) -> str:
    """The value as the list has it."""
    value = getattr(recipe, field.name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def words_of(field: Field, precisions: tuple[str, ...]) -> tuple[str, ...]:
    """What it may be on a device with these precisions."""
    if field.name == "precision":
        return tuple(word for word in field.words if word in precisions)
    return field.words


def step_value(field: Field, recipe: Recipe, steps: int, precisions: tuple[str, ...]) -> Recipe:
    """The recipe with the next value, or the one before."""
    value = getattr(recipe, field.name)
    words = words_of(field, precisions)
    if field.words:
        at = words.index(shown(field, recipe)) if shown(field, recipe) in words else 0
        word = words[max(0, min(len(words) - 1, at + steps))]
        return _with(recipe, field, word == "yes" if field.name == "balance" else word)
    if field.whole:
        return _with(recipe, field, max(1, min(int(field.most), value + steps)))
    if field.ladder:
        near = 1e-9
        beyond = [one for one in field.ladder if (one - value) * steps > near]
        if not beyond:
            return recipe
        return _with(recipe, field, min(beyond) if steps > 0 else max(beyond))
    return _with(recipe, field, next_rate(value, steps, FROM_ZERO))


def parse_value(field: Field, recipe: Recipe, text: str) -> Recipe | str:
    """The recipe with the number that was typed; or what is wrong with it, in a few words."""
    limits = f"from 0 to {field.most:g}" if field.most < LARGEST else "from 0 on"
    if field.whole:
        if text.isascii() and text.isdigit() and 1 <= int(text[:12]) <= field.most:
            return _with(recipe, field, int(text))
        return f"a whole number from 1 to {field.most:,.0f}"
    try:
        value = float(text)
    except ValueError:
        return f"a number {limits}"
    if not (math.isfinite(value) and 0 <= value <= field.most):
        return f"a number {limits}" if not value > LARGEST else f"a number from 0 to {LARGEST:g}"
    return _with(recipe, field, value)


def note(field: Field, recipe: Recipe, batches_per_epoch: int) -> str:
    """What the value means beside the others; empty if nothing is to be said."""
    match field.name:
        case "lr_pretrained" if recipe.lr_head:
            return f"{recipe.lr_pretrained / recipe.lr_head:.3g} × the head's"
        case "lr_decay" if recipe.lr_decay == 1:
            return "all pretrained layers alike"
        case "momentum" if recipe.optimizer == "adamw":
            return "not used by adamw"
        case "warmup" if recipe.schedule == "one-cycle" and not recipe.warmup:
            return f"0 is {ONE_CYCLE_WARMUP:g} here"
        case "epochs":
            steps = recipe.epochs * batches_per_epoch
            return f"{steps:,} steps, the schedule's horizon"
    return ""


def _with(recipe: Recipe, field: Field, value: object) -> Recipe:
    return msgspec.structs.replace(recipe, **{field.name: value})

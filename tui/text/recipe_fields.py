"""The editable fields of a recipe: their labels, values, limits and remarks."""

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
    """One field: a number, or one of a few words."""

    name: str
    """The name of the attribute of `Recipe`."""
    label: str
    words: tuple[str, ...] = ()
    """The possible values; empty for a number."""
    most: float = LARGEST
    """The largest value of a number; the smallest is 0."""
    whole: bool = False
    """Whether the number is an integer."""
    ladder: tuple[float, ...] = ()
    """The values that left and right step through; empty for 1, 2, 5 of each power of ten."""


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
"""The result of a step up from a learning rate or weight decay of 0."""


def shown(field: Field, recipe: Recipe) -> str:
    """Return a field's value as the list shows it."""
    value = getattr(recipe, field.name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def words_of(field: Field, precisions: tuple[str, ...]) -> tuple[str, ...]:
    """Return a field's possible values on a device that supports these precisions."""
    if field.name == "precision":
        return tuple(word for word in field.words if word in precisions)
    return field.words


def step_value(field: Field, recipe: Recipe, steps: int, precisions: tuple[str, ...]) -> Recipe:
    """Return the recipe with a field's next value, or the previous one if `steps` is negative."""
    value = getattr(recipe, field.name)
    words = words_of(field, precisions)
    if field.words:
        index = words.index(shown(field, recipe)) if shown(field, recipe) in words else 0
        word = words[max(0, min(len(words) - 1, index + steps))]
        return _with(recipe, field, word == "yes" if field.name == "balance" else word)
    if field.whole:
        return _with(recipe, field, max(1, min(int(field.most), value + steps)))
    if field.ladder:
        tolerance = 1e-9
        beyond = [rung for rung in field.ladder if (rung - value) * steps > tolerance]
        if not beyond:
            return recipe
        return _with(recipe, field, min(beyond) if steps > 0 else max(beyond))
    return _with(recipe, field, next_rate(value, steps, FROM_ZERO))


def parse_value(field: Field, recipe: Recipe, text: str) -> Recipe | str:
    """Parse a number that was typed.

    Returns:
        The recipe with that number; or, if it is not valid, a short text about what is.
    """
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
    """Return a remark about a field's value in relation to the other fields; may be empty."""
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

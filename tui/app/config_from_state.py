"""The choices as they are now, as `tl-tui train --config` takes them."""

from __future__ import annotations

import itertools
import typing
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tl_tui.protocol.config import PlanName, Recipe, RunConfig
from tl_tui.protocol.layers import NormMode, StackInfo
from tl_tui.settings.recipe import base_rates, choices_of
from tui.state.run_state import RunState
from tui.text.layer_names import listed


def current_config(config: RunConfig, state: RunState) -> RunConfig:
    """What would train like this from the start.

    Args:
        config: What the session was opened with.
        state: The session, with the recipe, the mask and the plan as they are now.
    """
    session, recipe = state.session, state.training.recipe
    if session is None or recipe is None:
        return config
    changes: dict[str, typing.Any] = {
        **choices_of(recipe),
        "batch_size": session.batch_size,
        "image_size": session.image_size,
        "strategy": None,
        "trainable": None,
        "plan": None,
        "plan_epochs": None,
        "run_dir": None,  # it holds this run
    }
    if recipe.epochs != session.recipe.epochs:
        changes["steps"] = None  # the epochs were chosen later
    elif config.steps is not None:
        changes["epochs"] = None
    plan = state.training.plan
    if plan is not None and plan.name in typing.get_args(PlanName):
        changes |= {"plan": plan.name, "plan_epochs": config.plan_epochs, "folds": None}
    elif state.strategy is not None:
        changes["strategy"] = state.strategy
    else:
        changes["trainable"] = mask_names(session.stack, state.wanted) or None
    if state.training.weights != session.weights:
        changes["weights"] = "none"
    return msgspec.structs.replace(config, **changes)


def config_to_reopen(config: RunConfig, state: RunState) -> RunConfig:
    """What opens a session with the choices as they are now, beside the run that ended."""
    choices = current_config(config, state)
    if config.run_dir is None:
        return choices
    taken = Path(config.run_dir)
    others = (taken.with_name(f"{taken.name}-{number}") for number in itertools.count(2))
    return msgspec.structs.replace(
        choices, run_dir=str(next(path for path in others if not path.exists()))
    )


@dataclass(frozen=True)
class ManualSettings:
    """Choices that no option has."""

    rates: dict[float, tuple[int, ...]]
    """Rows that have a base rate set by hand, by rate."""
    recipe: Recipe | None
    norm_modes: dict[NormMode, tuple[int, ...]]
    """BatchNorm owners that were switched, by mode."""


def manual_settings(state: RunState) -> ManualSettings:
    """Rates and BatchNorm modes that were set by hand."""
    training = state.training
    rates: dict[float, tuple[int, ...]] = {}
    modes: dict[NormMode, tuple[int, ...]] = {}
    for row, rate in enumerate(training.rates):
        if training.by_hand(row):
            rates[rate] = (*rates.get(rate, ()), row)
    for owner, mode in state.norm_modes.items():
        if mode != "auto":
            modes[mode] = (*modes.get(mode, ()), owner)
    return ManualSettings(rates, training.recipe, modes)


def rates_given_up(state: RunState, recipe: Recipe) -> str:
    """Which rates set by hand give way to another recipe's, in a sentence; empty if none do."""
    stack, now = state.stack, state.training.recipe
    if (
        stack is None
        or now is None
        or base_rates(recipe, stack.rows) == base_rates(now, stack.rows)
    ):
        return ""
    rows = [stack.rows[row].name for rows in manual_settings(state).rates.values() for row in rows]
    if not rows:
        return ""
    one = len(rows) == 1
    words = "rate" if one else "rates"
    return (
        f"The {words} of {_some(rows)}, set by hand, {'is' if one else 'are'} the recipe's again."
    )


def mask_names(stack: StackInfo, mask: Collection[int]) -> tuple[str, ...]:
    """A mask by names that `--trainable` takes: rows, and modules of rows that train in part."""
    names: list[str] = []
    for row in stack.rows:
        owners = range(row.first_owner, row.end_owner)
        inside = [owner for owner in owners if owner in mask]
        if len(inside) == len(owners):
            names.append(row.name)
        else:
            names += [stack.owners[owner].name for owner in inside]
    return tuple(names)


def caveat(state: RunState) -> str:
    """What a file cannot say of the choices, in sentences; empty if it says all of them."""
    return " ".join(said for said in (_of_mask(state), _of_hand(state)) if said)


def _of_hand(state: RunState) -> str:
    chosen, stack = manual_settings(state), state.stack
    if stack is None:
        return ""
    left_out = []
    rows = [stack.rows[row].name for rows in chosen.rates.values() for row in rows]
    if rows:
        left_out.append(f"the rate{'s' * (len(rows) > 1)} of {_some(rows)}")
    norms = [stack.owners[owner].name for owners in chosen.norm_modes.values() for owner in owners]
    if norms:
        left_out.append(f"the BatchNorm mode{'s' * (len(norms) > 1)} of {_some(norms)}")
    return f"It leaves out {' and '.join(left_out)}, set by hand." if left_out else ""


def _some(names: list[str]) -> str:
    """The first of many names, and how many more there are."""
    return listed(names if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more"])


def _of_mask(state: RunState) -> str:
    stack = state.stack
    if stack is None or state.training.plan is not None or state.strategy is not None:
        return ""
    if not state.wanted:
        return "A file cannot say that nothing trains: it leaves the strategy to the defaults."
    blurred = [
        row.name
        for row in stack.rows
        if state.trainable(range(row.first_owner, row.end_owner)) == "partial"
        and any(
            stack.owners[owner].name == row.name and owner in state.wanted
            for owner in range(row.first_owner, row.end_owner)
        )
    ]
    if not blurred:
        return ""
    names = ", ".join(blurred)
    return f"In a file {names} means the whole layer, not its part of that name: all of it trains."

"""The current settings of a session as a configuration for `tl-tui train --config`."""

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
    """Return the configuration that trains with the current settings from the beginning.

    Args:
        config: The configuration that the session was opened with.
        state: The session, with its current recipe, mask and plan.
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
        "run_dir": None,  # this run occupies it
    }
    if recipe.epochs != session.recipe.epochs:
        changes["steps"] = None  # the user chose epochs later
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
    """Return the configuration that opens a new run with the current settings.

    If a run directory was named, the new run gets a new directory next to it.
    """
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
    """Settings made on the screen for which the configuration has no field."""

    rates: dict[float, tuple[int, ...]]
    """The rows whose base learning rate was set by hand, by rate."""
    recipe: Recipe | None
    """The current recipe."""
    norm_modes: dict[NormMode, tuple[int, ...]]
    """The BatchNorm owners whose mode was set by hand, by mode."""


def manual_settings(state: RunState) -> ManualSettings:
    """Return the learning rates and BatchNorm modes that were set by hand."""
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


def discarded_rates_text(state: RunState, recipe: Recipe) -> str:
    """Say which rates set by hand a new recipe replaces; empty if it replaces none."""
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
    rates = "rate" if len(rows) == 1 else "rates"
    return f"It replaces the {rates} of {_abbreviated(rows)} that you set by hand."


def mask_names(stack: StackInfo, mask: Collection[int]) -> tuple[str, ...]:
    """Return the names for `--trainable`: rows, and modules of rows that train in part."""
    names: list[str] = []
    for row in stack.rows:
        owners = range(row.first_owner, row.end_owner)
        inside = [owner for owner in owners if owner in mask]
        if len(inside) == len(owners):
            names.append(row.name)
        else:
            names += [stack.owners[owner].name for owner in inside]
    return tuple(names)


def omitted_settings_text(state: RunState) -> str:
    """Say which settings a configuration file cannot express; empty if it expresses all."""
    sentences = (_mask_limits_sentence(state), _manual_settings_sentence(state))
    return " ".join(sentence for sentence in sentences if sentence)


def _manual_settings_sentence(state: RunState) -> str:
    manual, stack = manual_settings(state), state.stack
    if stack is None:
        return ""
    omitted = []
    rows = [stack.rows[row].name for rows in manual.rates.values() for row in rows]
    if rows:
        omitted.append(f"the rate{'s' * (len(rows) > 1)} of {_abbreviated(rows)}")
    norms = [stack.owners[owner].name for owners in manual.norm_modes.values() for owner in owners]
    if norms:
        omitted.append(f"the BatchNorm mode{'s' * (len(norms) > 1)} of {_abbreviated(norms)}")
    return f"The file omits {' and '.join(omitted)} that you set by hand." if omitted else ""


def _abbreviated(names: list[str]) -> str:
    """Return a list of up to three names, or two names and the number of the others."""
    return listed(names if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more"])


def _mask_limits_sentence(state: RunState) -> str:
    stack = state.stack
    if stack is None or state.training.plan is not None or state.strategy is not None:
        return ""
    if not state.wanted:
        return "A file cannot say that nothing trains; it leaves the strategy at its default."
    ambiguous = [
        row.name
        for row in stack.rows
        if state.trainable(range(row.first_owner, row.end_owner)) == "partial"
        and any(
            stack.owners[owner].name == row.name and owner in state.wanted
            for owner in range(row.first_owner, row.end_owner)
        )
    ]
    if not ambiguous:
        return ""
    names = ", ".join(ambiguous)
    return f"In the file {names} means the whole layer, so all of it trains."

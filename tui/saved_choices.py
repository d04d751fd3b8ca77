"""The choices as they are now, as `tl-tui train --config` takes them."""

from __future__ import annotations

import typing
from collections.abc import Collection

import msgspec

from engine.protocol import PlanName, RunConfig, StackInfo
from tui.state import RunState


def present_choices(config: RunConfig, state: RunState) -> RunConfig:
    """What would train like this from the start.

    Args:
        config: What the session was opened with.
        state: The session, with the recipe, the mask and the plan as they are now.
    """
    session, recipe = state.session, state.training.recipe
    if session is None or recipe is None:
        return config
    changes: dict[str, typing.Any] = {
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
    """What a file cannot say of the mask, in a sentence; empty if it says all of it."""
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

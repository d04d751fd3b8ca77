"""Merge the command line with a configuration file, and find options that conflict."""

from __future__ import annotations

from typing import Any

from tl_tui.common.errors import Problem

_EXCLUSIVE = (
    ("plan", "strategy", "a plan is a sequence of strategies; leave one of them out."),
    ("plan", "trainable", "a plan decides which layers train; leave one of them out."),
    ("folds", "plan", "every fold trains with one strategy from the start; leave one of them out."),
    ("epochs", "steps", "both set where the run ends; leave one of them out."),
)
_REQUIRED = (
    ("plan_epochs", "plan", "it sets the length of a plan's phases; add --plan."),
    ("columns", "labels", "it names columns of a labels file; add --labels."),
    ("labels", "data", "its paths are relative to an image folder; name that with --data."),
)


def merge_options(given: dict[str, Any], filed: dict[str, Any], file: str | None) -> dict[str, Any]:
    """Return the user's choices from the command line and a configuration file.

    The command line takes precedence. An option on it also removes the choices of the file that it
    excludes: `--strategy full` removes the file's plan.

    Args:
        given: The fields of `RunConfig` set on the command line.
        filed: The fields set in the file.
        file: The file's name.

    Raises:
        Problem: Two choices cannot be used together, or one requires another that is missing.
    """
    kept = {field: value for field, value in filed.items() if field not in given}
    for first, second, why in _EXCLUSIVE:
        for field, excluded in ((first, second), (second, first)):
            if field in given:
                kept.pop(excluded, None)
        for where, choices in (("", given), (f"{file}: ", kept)):
            if first in choices and second in choices:
                raise Problem(f"{where}--{first} and --{second}: {why}")
    if (given | kept).get("optimizer") == "adamw":
        if "optimizer" in given:
            kept.pop("momentum", None)
        if "momentum" in given or "momentum" in kept:
            where = "" if "momentum" in given else f"{file}: "
            raise Problem(f"{where}--momentum applies only to sgd; leave it out with adamw.")
    for field, required, why in _REQUIRED:
        if required in given or required in kept:
            continue
        if required in filed:
            kept.pop(field, None)  # The option that it belongs to was excluded above.
        where = "" if field in given else f"{file}: "
        if field in given or field in kept:
            raise Problem(f"{where}--{field.replace('_', '-')}: {why}")
    return kept | given

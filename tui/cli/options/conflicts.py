"""Options that cannot go together, and the command line's word before a run file's."""

from __future__ import annotations

from typing import Any

from tl_tui.common.errors import Problem

_RIVALS = (
    ("plan", "strategy", "a plan is strategies over time; leave one of them out."),
    ("plan", "trainable", "a plan says itself what trains when; leave one of them out."),
    ("folds", "plan", "every fold trains with one strategy from the start; leave one of them out."),
    ("epochs", "steps", "both say where the run ends; leave one of them out."),
)
_NEEDED = (
    ("plan_epochs", "plan", "it is the length of a plan's phases; add --plan."),
    ("labels", "data", "its paths are within an image folder; name that with --data."),
)


def merge_options(asked: dict[str, Any], filed: dict[str, Any], file: str | None) -> dict[str, Any]:
    """The choices of the command line, and of a run file where the command line is silent.

    An option on the command line also takes the place of what it cannot go together with in the
    file: `--strategy full` of a file's plan.

    Args:
        asked: Fields of `RunConfig` that the command line has.
        filed: Those that the file has.
        file: The file's name.

    Raises:
        Problem: two choices cannot go together, or one needs another.
    """
    left = {field: value for field, value in filed.items() if field not in asked}
    for one, other, why in _RIVALS:
        for mine, rival in ((one, other), (other, one)):
            if mine in asked:
                left.pop(rival, None)
        for where, choices in (("", asked), (f"{file}: ", left)):
            if one in choices and other in choices:
                raise Problem(f"{where}--{one} and --{other}: {why}")
    if (asked | left).get("optimizer") == "adamw":
        if "optimizer" in asked:
            left.pop("momentum", None)
        if "momentum" in asked or "momentum" in left:
            where = "" if "momentum" in asked else f"{file}: "
            raise Problem(f"{where}--momentum is of sgd; leave it out with --optimizer adamw.")
    for field, needed, why in _NEEDED:
        if needed in asked or needed in left:
            continue
        if needed in filed:
            left.pop(field, None)  # what it belonged to has given way
        where = "" if field in asked else f"{file}: "
        if field in asked or field in left:
            raise Problem(f"{where}--{field.replace('_', '-')}: {why}")
    return left | asked

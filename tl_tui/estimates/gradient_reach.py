"""What a mask implies, before any step: where the next gradient will go.

The prediction follows ancestry in the model's real graph, not the order of the list: with only
`layer2.0.conv1` trainable, `layer2.0.downsample.0` is executed later and yet is not reached.
Imports no torch, so that a screen can predict in the same frame as a toggle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from tl_tui.protocol.layers import Reach


def predict_reach(parents: Sequence[Sequence[int]], trainable: Collection[int]) -> list[Reach]:
    """The predicted reach of every parameter owner.

    Args:
        parents: For each owner, in execution order, the owners whose outputs feed it.
        trainable: Indices of the trainable owners.

    Returns:
        One reach an owner. Backward visits an owner if it, or one of its ancestors, is trainable.
    """
    arrives: list[bool] = []
    reach: list[Reach] = []
    for owner, above in enumerate(parents):
        wanted = owner in trainable
        arrives.append(wanted or any(arrives[parent] for parent in above))
        reach.append("updated" if wanted else "passed" if arrives[owner] else "unreached")
    return reach


def combine_reach(reaches: Iterable[Reach]) -> Reach:
    """The reach of a row, from that of its owners: the strongest."""
    seen = set(reaches)
    if "updated" in seen:
        return "updated"
    return "passed" if "passed" in seen else "unreached"

"""Predict where the next gradient will go with a mask.

The prediction follows the edges of the model's graph, not the order of execution: with only
`layer2.0.conv1` trainable, `layer2.0.downsample.0` is executed later and yet not reached.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from tl_tui.protocol.layers import Reach


def predict_reach(parents: Sequence[Sequence[int]], trainable: Collection[int]) -> list[Reach]:
    """Return the predicted reach of every owner.

    The backward pass visits an owner if it, or one of its ancestors, is trainable.

    Args:
        parents: For each owner, in execution order, the owners whose outputs feed it.
        trainable: Indices of the trainable owners.
    """
    arrives: list[bool] = []
    reach: list[Reach] = []
    for owner, feeding in enumerate(parents):
        trains = owner in trainable
        arrives.append(trains or any(arrives[parent] for parent in feeding))
        reach.append("updated" if trains else "passed" if arrives[owner] else "unreached")
    return reach


def combine_reach(reaches: Iterable[Reach]) -> Reach:
    """Return the reach of a row: the furthest of its owners'."""
    distinct = set(reaches)
    if "updated" in distinct:
        return "updated"
    return "passed" if "passed" in distinct else "unreached"

"""The predicted reach follows the edges of the graph."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tl_tui.estimates.gradient_reach import combine_reach, predict_reach


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[list[int]], set[int]]:
    """Return a graph in execution order, and a mask."""
    count = draw(st.integers(1, 12))
    parents = [
        sorted(draw(st.sets(st.integers(0, owner - 1)))) if owner else [] for owner in range(count)
    ]
    return parents, draw(st.sets(st.integers(0, count - 1)))


def ancestors(parents: list[list[int]], owner: int) -> set[int]:
    reached: set[int] = set()
    queue = [owner]
    while queue:
        for parent in parents[queue.pop()]:
            if parent not in reached:
                reached.add(parent)
                queue.append(parent)
    return reached


@given(graphs())
def test_backward_visits_owners_with_a_trainable_ancestor(
    graph: tuple[list[list[int]], set[int]],
) -> None:
    parents, trainable = graph
    for owner, reach in enumerate(predict_reach(parents, trainable)):
        if owner in trainable:
            assert reach == "updated"
        elif ancestors(parents, owner) & trainable:
            assert reach == "passed"
        else:
            assert reach == "unreached"


def test_a_branch_parallel_to_the_trainable_one_is_not_reached() -> None:
    """A downsampling block: input, conv1, conv2, shortcut, and the owner after the sum."""
    parents = [[], [0], [1], [0], [2, 3]]
    assert predict_reach(parents, {1}) == [
        "unreached",
        "updated",
        "passed",
        "unreached",  # although it is executed after conv1
        "passed",
    ]


def test_a_row_has_the_furthest_reach_of_its_owners() -> None:
    assert combine_reach(["passed", "updated", "unreached"]) == "updated"
    assert combine_reach(["unreached", "passed"]) == "passed"
    assert combine_reach([]) == "unreached"

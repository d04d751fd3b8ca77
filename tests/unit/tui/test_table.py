"""Tables of the command line: whole names, and the columns that fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.cli.output.table import Column, fitting_columns, table_lines
from tui.cli.printing import unbroken_lines

NAMES = ["20261125-081512-efficientnet_v2_s-abcd", "übung-日本", "x"]


def columns(names: list[str]) -> list[Column]:
    count = len(names)
    return [
        Column("run", names),
        Column("state", ["cut off"] * count, rank=2),
        Column("steps", [f"{10**n:,}" for n in range(count)], rank=3, right=True),
        Column("best", ["71 of 80, .89 (.80 to .94)"] * count, rank=1),
    ]


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (None, ["run", "state", "steps", "best"]),
        (84, ["run", "state", "steps", "best"]),
        (80, ["run", "state", "best"]),
        (70, ["run", "best"]),
        (60, ["run", "state", "steps"]),
        (40, ["run"]),
        (20, ["run"]),  # the terminal wraps it
    ],
)
def test_the_least_important_columns_are_left_out(width: int | None, headings: list[str]) -> None:
    assert [column.heading for column in fitting_columns(columns(NAMES), width)] == headings


@given(st.lists(st.text("ab-日é", min_size=1, max_size=60), min_size=1), st.integers(10, 200))
def test_names_are_never_cut_or_broken(names: list[str], width: int) -> None:
    shown = fitting_columns(columns(names), width)
    lines = table_lines(shown)
    assert len(lines) == len(names) + 1
    for name, line in zip(names, lines[1:], strict=True):
        assert line.split("  ")[0] == name
    assert len(shown) == 1 or max(map(cell_len, lines)) <= width


def test_columns_are_aligned_in_cells() -> None:
    assert table_lines(columns(NAMES)[:3]) == [
        "run                                     state    steps",
        "20261125-081512-efficientnet_v2_s-abcd  cut off      1",
        "übung-日本                              cut off     10",
        "x                                       cut off    100",
    ]


@pytest.mark.parametrize("width", [None, 20, 80])
def test_paths_are_not_broken(width: int | None) -> None:
    path = "/data/" + "long-name/" * 12 + "best.safetensors"
    lines = unbroken_lines(f"Best checkpoint, after step 3: {path}", width)
    assert path in lines[-1].split()
    assert " ".join(lines) == f"Best checkpoint, after step 3: {path}"

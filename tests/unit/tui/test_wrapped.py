"""Texts that are wrapped: nothing is lost, and no line is too wide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.drawing.lines import shorten_path, wrapped, wrapped_message

PATHS = (
    "/data/photos/2026/kitchen/" + "very-long-folder-name/" * 5 + "IMG_0042.jpg",
    "/data/写真/" + "とても長い名前/" * 9 + "画像.jpg",
    "C:\\Users\\Jürgen\\" + "Bilder" * 30,
)


@pytest.mark.parametrize("width", [20, 38, 72])
@pytest.mark.parametrize("path", PATHS)
def test_a_long_path_is_shown_whole(path: str, width: int) -> None:
    lines = wrapped(f"Skipped {path}: it is damaged.", width)
    assert max(map(cell_len, lines)) <= width
    assert "".join("".join(lines).split()) == "".join(f"Skipped {path}: it is damaged.".split())


@given(st.text("ab 日é-", max_size=80), st.integers(8, 40))
def test_no_character_is_lost_and_no_line_too_wide(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cell_len(line) <= width for line in lines)


@pytest.mark.parametrize("lines", [1, 2, 3])
def test_a_message_that_is_cut_names_the_key_that_shows_all_of_it(lines: int) -> None:
    sentence = f"The checkpoint could not be saved: {PATHS[0]} is on a full disk."
    shown = wrapped_message(sentence, 40, lines)
    assert len(shown) == lines and shown[-1].endswith("… (M: all of it)")
    assert all(cell_len(line) <= 40 for line in shown)
    assert wrapped_message("Short.", 40, lines) == ["Short."]


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (60, "/data/photos/val/hot dog/IMG_0042.jpg"),
        (36, "…/IMG_0042.jpg"),
        (14, "…/IMG_0042.jpg"),
        (10, "IMG…42.jpg"),
        (45, "/data/photos/val/hot dog/IMG_0042.jpg"),
    ],
)
def test_a_path_loses_its_folders_before_its_name(width: int, shown: str) -> None:
    assert shorten_path("/data/photos/val/hot dog/IMG_0042.jpg", width) == shown


@given(st.text("ab/日é-", max_size=40), st.integers(4, 40))
def test_a_shortened_path_fits(path: str, width: int) -> None:
    assert cell_len(shorten_path(path, width)) <= width

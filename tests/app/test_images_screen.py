"""The images screen: what it requests, how it draws pictures, and the list without pictures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.color import Color

from tests.support.app_pilot import (
    make_app,
    ready,
    screen_lines,
    screen_text,
    steps_taken,
    wait_until,
)
from tests.support.result_messages import images, results, thumbnail
from tests.support.scripted_engine import ScriptedEngine
from tests.support.stack_messages import opened
from tl_tui.protocol.commands import ShowImages
from tl_tui.protocol.events import Refused
from tui.drawing.lines import line_width
from tui.drawing.picture_grid import grid_of, large_grid
from tui.drawing.thumbnail import pixel_style, thumbnail_lines
from tui.screens.images import common_folder

SIZES = [(80, 24), (120, 40), (40, 12), (300, 80)]
RED, BLUE = Color.parse("#ff0000"), Color.parse("#0000ff")


@pytest.fixture(autouse=True)
def true_colour(monkeypatch):
    """Pictures need a terminal with 24-bit colour."""
    monkeypatch.setenv("COLORTERM", "truecolor")


def styles_of(app):
    """Return the character and the style of every cell on the screen."""
    return [
        (character, segment.style)
        for strip in app.screen._compositor.render_strips(app.size)
        for segment in strip
        for character in segment.text
    ]


async def open_images(pilot, engine, shown):
    await ready(pilot)
    await pilot.press("v")
    await wait_until(pilot, lambda: engine.sent(ShowImages))
    engine.emit(shown)
    await wait_until(pilot, lambda: "0000.jpg" in screen_text(pilot.app).replace(" ", ""))


class TestDrawing:
    def test_each_cell_shows_two_pixels(self):
        pixels = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
        (row,) = thumbnail_lines(thumbnail(side=2, pixels=pixels), 10, 10)
        assert [text for text, _ in row] == ["▀", "▀"]
        first, second = (pixel_style(style) for _, style in row)
        assert (first.color, first.bgcolor) == (RED, BLUE)
        assert second.bgcolor == Color.parse("#090909")

    def test_odd_last_row_has_no_pixel_below(self):
        (row,) = thumbnail_lines(thumbnail(width=1, height=1, pixels=b"\xff\x00\x00"), 4, 4)
        assert pixel_style(row[0][1]).color == RED and pixel_style(row[0][1]).bgcolor is None

    @given(
        width=st.integers(1, 60),
        height=st.integers(1, 60),
        columns=st.integers(1, 50),
        lines=st.integers(1, 30),
    )
    def test_picture_fits_and_keeps_its_proportions(self, width, height, columns, lines):
        picture = thumbnail(width=width, height=height, pixels=b"\x80" * (3 * width * height))
        rows = thumbnail_lines(picture, columns, lines)
        assert 1 <= len(rows) <= lines
        widths = {line_width(row) for row in rows}
        assert len(widths) == 1 and 1 <= min(widths) <= min(columns, width)
        scale = min(1, columns / width, 2 * lines / height)
        assert abs(min(widths) - max(1, width * scale)) < 1

    def test_too_few_bytes_draw_nothing(self):
        assert thumbnail_lines(thumbnail(side=8, pixels=b"\x00" * 10), 8, 8) == []


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (["/d/val/a/1.jpg", "/d/val/b/2.jpg"], "/d/val/"),
        (["/d/val/a/1.jpg", "/d/val/a/2.jpg"], "/d/val/"),
        (["val/a/1.jpg", "/d/val/a/2.jpg"], ""),
        (["/a/1.jpg"], ""),
        (["1.jpg", "2.jpg"], ""),
        ([], ""),
    ],
)
def test_common_folder(paths, folder):
    assert common_folder(paths) == folder


class TestGrid:
    @given(width=st.integers(40, 400), height=st.integers(7, 120))
    def test_tiles_fit_on_the_page(self, width, height):
        grid = grid_of(width, height)
        assert grid.columns * grid.tile <= width
        assert grid.rows * grid.lines <= height
        assert grid.side <= 2 * grid.picture_lines and grid.picture_lines <= grid.lines
        assert grid.text_width >= 10
        assert large_grid(width, height).side >= grid.side

    def test_number_of_tiles_at_two_sizes(self):
        assert grid_of(80, 21)[:2] == (2, 2)
        assert grid_of(120, 37)[:2] == (3, 3)


class TestScreen:
    @pytest.mark.parametrize("size", SIZES)
    async def test_pictures_have_label_prediction_and_path(self, size):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=size) as pilot:
            await open_images(pilot, engine, images())
            asked = engine.sent(ShowImages)[-1]
            assert asked.selection == "batch"
            assert asked.size == grid_of(size[0], size[1] - 3).side
            text = screen_text(app)
            assert "predicted" in text and ".87" in text and "hot dog" in text
            cells = styles_of(app)
            pixels = {(s.color, s.bgcolor) for character, s in cells if character == "▀"}
            assert pixels <= {(RED, RED), (RED, BLUE), (BLUE, BLUE)} and len(pixels) >= 2
            assert all(cell_len(line) == size[0] for line in screen_lines(app))

    async def test_tab_shows_the_other_set_and_requests_it_once(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_images(pilot, engine, images())
            await pilot.press("tab")
            assert "[most wrong]" in screen_text(app) and "Waiting for the pictures" in screen_text(
                app
            )
            engine.emit(images("wrong", 3))
            await wait_until(pilot, lambda: "3 of 10 images" in screen_text(app))
            await pilot.press("tab", "tab")
            assert [command.selection for command in engine.sent(ShowImages)] == ["batch", "wrong"]

    async def test_enter_requests_pictures_as_large_as_the_screen(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_images(pilot, engine, images(side=18))
            await pilot.press("right", "enter")
            larger = engine.sent(ShowImages)[-1]
            assert larger.size == large_grid(80, 21).side > 18
            engine.emit(images(side=larger.size))
            await wait_until(
                pilot, lambda: sum("▀" * larger.size in line for line in screen_lines(app)) == 21
            )
            assert "0001.jpg" in screen_text(app) and "0000.jpg" not in screen_text(app)
            await pilot.press("right")
            assert "0002.jpg" in screen_text(app)
            await pilot.press("escape")
            assert "0003.jpg" in screen_text(app) and app.screen is not app.main
            await pilot.press("enter", "enter")
            assert len(engine.sent(ShowImages)) == 2  # large pictures are already there

    async def test_arrows_scroll_by_whole_tiles(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_images(pilot, engine, images(count=9))
            assert "1 of 9" in screen_lines(app)[-1]
            await pilot.press("down", "down")
            text = screen_text(app)
            assert "0002.jpg" in text and "0005.jpg" in text and "0000.jpg" not in text
            await pilot.press("G")
            assert "0008.jpg" in screen_text(app) and "9 of 9" in screen_lines(app)[-1]
            await pilot.press("g")
            assert "0000.jpg" in screen_text(app)

    async def test_the_batch_follows_the_steps(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_images(pilot, engine, images())
            app.engine_session.step()
            await wait_until(pilot, lambda: len(engine.sent(ShowImages)) == 2)
            assert "1 step ago" in screen_text(app)
            engine.emit(images(step=1))
            await wait_until(pilot, lambda: "ago" not in screen_text(app))
            await pilot.press("escape")
            await steps_taken(pilot, 1)

    async def test_new_results_request_their_most_wrong_images(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_images(pilot, engine, images())
            await pilot.press("tab")
            engine.emit(images("wrong", 3))
            await wait_until(pilot, lambda: "3 of 10 images" in screen_text(app))
            engine.emit(results(step=8))
            await wait_until(pilot, lambda: len(engine.sent(ShowImages)) == 3)
            assert engine.sent(ShowImages)[-1].selection == "wrong"
            engine.emit(images("wrong", 2))
            await wait_until(pilot, lambda: "2 of 10 images" in screen_text(app))
            assert len(engine.sent(ShowImages)) == 3

    async def test_common_folder_is_shown_only_for_the_large_picture(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        paths = ("/data/set/val/a/0000.jpg", "/data/set/val/b/0001.jpg")
        shown = images(images=tuple(thumbnail(path=path) for path in paths))
        async with app.run_test(size=(80, 24)) as pilot:
            await open_images(pilot, engine, shown)
            assert "a/0000.jpg" in screen_text(app) and "/data" not in screen_text(app)
            await pilot.press("enter")
            assert "/data/set/val/a/0000.jpg" in screen_text(app)

    async def test_larger_window_requests_larger_pictures(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_images(pilot, engine, images(side=18))
            await pilot.resize_terminal(120, 40)
            await wait_until(pilot, lambda: len(engine.sent(ShowImages)) == 2)
            assert engine.sent(ShowImages)[-1].size > 18

    async def test_refusal_is_shown_and_r_requests_again(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            await pilot.press("v")
            await wait_until(pilot, lambda: engine.sent(ShowImages))
            engine.emit(Refused(id=engine.sent(ShowImages)[-1].id, reason="None can be read."))
            await wait_until(pilot, lambda: "None can be read." in screen_text(app))
            assert "did not send the pictures" in screen_text(app)
            await pilot.press("r")
            assert len(engine.sent(ShowImages)) == 2

    @pytest.mark.parametrize(
        ("terminal", "why"),
        [({"monochrome": True}, "no colours"), ({"unicode": False}, "ASCII only")],
    )
    async def test_terminal_without_pictures_shows_a_list_and_the_reason(self, terminal, why):
        engine = ScriptedEngine(opened(classes=("[b]犬[/]", "c\x1bd")))
        app = make_app(engine, **terminal)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_images(pilot, engine, images(count=30))
            assert why in screen_text(app)
            assert not any(character == "▀" for character, _ in styles_of(app))
            assert engine.sent(ShowImages)[-1].size == 1
            await pilot.press(*["down"] * 25)
            assert "0025.jpg" in screen_text(app) and "0000.jpg" not in screen_text(app)
            assert not any(ord(c) < 32 for line in screen_lines(app) for c in line)

    async def test_no_pictures_with_16_colours(self, monkeypatch):
        monkeypatch.setenv("TERM", "xterm-16color")
        monkeypatch.delenv("COLORTERM")
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_images(pilot, engine, images())
            assert "16 colours" in screen_text(app)

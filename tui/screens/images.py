"""The screen with pictures: the next batch as the model sees it, and the most wrong images."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal

from rich.cells import cell_len
from rich.style import Style

from tl_tui.common.metrics import share_words
from tl_tui.protocol.results import ImagesShown, Thumbnail
from tui.drawing.lines import (
    Line,
    Piece,
    justified,
    line,
    line_width,
    shorten_middle,
    shorten_path,
    wrapped,
)
from tui.drawing.picture_grid import Grid, grid_of, large_grid
from tui.drawing.sanitize import padded, sanitize
from tui.drawing.theme import Glyphs, Palette
from tui.drawing.thumbnail import is_pixels, pixel_style, thumbnail_lines
from tui.screens.full_screen import Body, Drawing, FullScreen, body, class_name
from tui.state.run_state import RunState

What = Literal["batch", "wrong"]
TITLES: dict[What, str] = {"batch": "next batch", "wrong": "most wrong"}
MIN_REQUESTED = 24
"""The number of pictures to request, unless a page holds more."""
MOST_PATH_LINES = 5
"""The most lines for the path of the selected image in the list without pictures."""


class PictureDrawing(Drawing):
    """The widget of the screen; its cells are text or pixels."""

    def line_style(self, name: str) -> Style:
        return pixel_style(name) if is_pixels(name) else super().line_style(name)


class ImagesScreen(FullScreen):
    """A screen with two sets of pictures, each requested when it is first shown."""

    title_text = "images"

    def __init__(
        self,
        state: RunState,
        appearance: tuple[Palette, Glyphs],
        *,
        ask: Callable[[What, int, int], None],
        no_pictures: str,
        what: What = "batch",
    ) -> None:
        """
        Args:
            state: The state of the run.
            appearance: Colours and characters.
            ask: Requests pictures: which set, pixels per side, and the largest number of them.
            no_pictures: Why this terminal cannot show pictures; empty if it can.
            what: The set to show first.
        """
        self.what: What = what
        self.cursor = 0
        self.large = False
        self._ask, self._no_pictures = ask, no_pictures
        self._received: dict[What, ImagesShown] = {}
        self._requested: dict[What, int] = {}
        """The pixels per side of requests that have not been answered, by set."""
        self._sides: dict[What, int] = {}
        """The pixels per side that were requested for each received set."""
        self._cells: dict[tuple[int, int, int], list[Line]] = {}
        """The drawn pictures of the current set, by index, width and height."""
        self._last_images = state.results.images
        self._results = state.results.results
        """The results to which the most wrong images belong."""
        self._folder = ""
        """The common folder of all images, which is left out of their paths."""
        super().__init__(state, appearance)

    def make_drawing(self) -> Drawing:
        return PictureDrawing(self._lines)

    # --- requests -------------------------------------------------------------------------------

    def on_mount(self) -> None:
        super().on_mount()
        self.call_after_refresh(self._request_pictures)

    def on_resize(self) -> None:
        self._cells.clear()
        self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        self._request_pictures()
        self._scroll_to_cursor()

    def _request_pictures(self, *, again: bool = False) -> None:
        """Request the current set, unless it was received or requested at this size or larger.

        Args:
            again: Whether to request it in any case.
        """
        if self._answered:
            return
        grid = self._grid()
        side = 1 if self._no_pictures else grid.side
        if again or max(self._sides.get(self.what, 0), self._requested.get(self.what, 0)) < side:
            self._requested[self.what] = side
            self._ask(self.what, side, max(MIN_REQUESTED, grid.columns * grid.rows))
        self.redraw()

    def refused(self) -> None:
        self._requested.clear()

    def show(self, state: RunState) -> None:
        shown = state.results.images
        if shown is None and self._last_images is not None:  # another start has begun
            self._last_images = None
            self._received.clear()
            self._sides.clear()
        if shown is not None and shown is not self._last_images:
            self._last_images = shown
            self._received[shown.selection] = shown
            self._sides[shown.selection] = self._requested.pop(
                shown.selection, self._sides.get(shown.selection, 0)
            )
            self._folder = common_folder([image.path for image in shown.images])
            self._cells.clear()
            self._results = state.results.results
        super().show(state)
        new_results = state.results.results is not self._results
        outdated = new_results if self.what == "wrong" else self._steps_behind(state)
        if self.is_mounted and not state.running and not self._requested and outdated:
            self._request_pictures(again=True)

    def _steps_behind(self, state: RunState) -> int:
        """Return the number of steps since the pictures and predictions were made."""
        received = self._received.get(self.what)
        return abs(state.step - received.step) if received else 0

    # --- drawing --------------------------------------------------------------------------------

    def heading(self, state: RunState, width: int) -> list[Line]:
        received = self._received.get(self.what)
        pieces: list[Piece] = [(" ", "text")]
        for what, title in TITLES.items():
            selected = what == self.what
            title = f"[{title}]" if selected else f" {title} "
            pieces += [(title, "chosen" if selected else "text"), (" ", "text")]
        count_text = ""
        if received is not None:
            behind = self._steps_behind(state)
            when = f"{behind:,} step{'' if behind == 1 else 's'} ago, " if behind else ""
            count = len(received.images)
            of_total = "" if count == received.total else f" of {received.total:,}"
            count_text = f"{when}{count:,}{of_total} images "
        lines = [justified(pieces, [(count_text, "dim")], width)]
        if self._no_pictures:
            lines.append(line((f"  {self._no_pictures}", "dim")))
        return lines

    def content(self, state: RunState, width: int, height: int) -> Body:
        received = self._received.get(self.what)
        if received is None:
            text = "Waiting for the pictures. Esc goes back meanwhile."
            if state.phase == "dead":
                text = "The engine has stopped, so there are no pictures. Esc goes back."
            elif state.phase != "ready":
                text = "The engine is not connected, so there are no pictures. Esc goes back."
            elif self.what not in self._requested:
                text = "The engine did not send the pictures. r asks again, Esc goes back."
            return body([line(f"  {part}") for part in wrapped(text, width - 4, 2)])
        if not received.images:
            none_wrong = "Every image is classified correctly."
            return body([line(f"  {none_wrong if self.what == 'wrong' else 'No images.'}")])
        self.cursor = min(self.cursor, len(received.images) - 1)
        if self._no_pictures:
            return self._list(received, width, height)
        grid = self._grid(width, height)
        if self.large:
            return body(
                [self._grid_line(received, grid, self.cursor, n) for n in range(grid.lines)]
            )
        # Only whole tiles are drawn: part of a tile shows little and costs as much to send.
        rest = height - grid.rows * grid.lines
        visible = self.offset_line + grid.rows * grid.lines
        count = self._tile_rows(received, grid) * grid.lines + rest
        return Body([], count, lambda n: self._grid_row(received, grid, n) if n < visible else ())

    def _tile_rows(self, received: ImagesShown, grid: Grid) -> int:
        return -(-len(received.images) // grid.columns)

    def _grid(self, width: int = 0, height: int = 0) -> Grid:
        screen = self.drawing.size
        width, height = width or screen.width or 80, height or (screen.height or 24) - 3
        return large_grid(width, height) if self.large else grid_of(width, height)

    def _grid_row(self, received: ImagesShown, grid: Grid, number: int) -> Line:
        first = number // grid.lines * grid.columns
        pieces: list[Piece] = []
        for index in range(first, min(first + grid.columns, len(received.images))):
            pieces += self._grid_line(received, grid, index, number % grid.lines)
        return tuple(pieces)

    def _grid_line(self, received: ImagesShown, grid: Grid, index: int, number: int) -> Line:
        """Return line `number` of a tile: a line of the picture and a line of its caption."""
        image = received.images[index]
        key = (index, grid.side, grid.picture_lines)
        if key not in self._cells:
            self._cells[key] = thumbnail_lines(image, grid.side, grid.picture_lines)
        picture = self._cells[key]
        row: Line = picture[number] if number < len(picture) else ()
        caption = self._caption(image, index, grid.text_width, grid.lines)
        caption_line = caption[number] if number < len(caption) else ()
        gap = " " * (grid.side - line_width(row))
        text: Line = ((" ", "text"), *row, (gap + " ", "text"), *caption_line)
        return (*text, (" " * max(0, grid.tile - line_width(text)), "text"))

    def _caption(self, image: Thumbnail, index: int, width: int, height: int) -> list[Line]:
        """Return the caption of a picture: its label, its prediction and its path."""
        label = class_name(self.state, image.label, self.glyphs)
        selected = index == self.cursor and not self.large
        lines: list[Line] = []
        for part in _in_cells(label, width, 2):
            lines.append(line((part, "chosen" if selected else "strong")))
        if image.predicted is not None:
            probability = share_words(image.probability or 0.0)
            predicted = class_name(self.state, image.predicted, self.glyphs)
            correct = image.predicted == image.label
            text = f"correct, {probability}" if correct else f"predicted {predicted}, {probability}"
            lines += [
                line((part, "dim" if correct else "text")) for part in _in_cells(text, width, 4)
            ]
        lines.append(())
        path = image.path if self.large else image.path.removeprefix(self._folder)
        path = self.glyphs.text(sanitize(path))
        room = max(1, height - len(lines) - 1)
        if not self.large:
            room = min(4, room)
        lines += [
            line((part, "dim")) for part in wrapped(shorten_middle(path, width * room), width, room)
        ]
        return lines

    def _list(self, received: ImagesShown, width: int, height: int) -> Body:
        """Return the images as a list of paths, for a terminal that cannot show pictures."""
        name = max(6, min(20, (width - 14) // 4))

        def at(number: int) -> Line:
            image = received.images[number]
            predicted = (
                ""
                if image.predicted is None
                else class_name(self.state, image.predicted, self.glyphs)
            )
            probability = "" if image.probability is None else share_words(image.probability)
            label = class_name(self.state, image.label, self.glyphs)
            mark = self.glyphs.cursor if number == self.cursor else " "
            path = shorten_path(self.glyphs.text(sanitize(image.path)), width - 2 * name - 14)
            return line(
                f" {mark} {probability:>4}  ",
                (padded(predicted, name), "text" if image.predicted != image.label else "dim"),
                f"  {padded(label, name)}  ",
                (path, "dim"),
            )

        head = f"   prob  {padded('predicted', name)}  {padded('label', name)}  path"
        above = [*self._whole_path(received, width), line((padded(head, width), "dim"))]
        return Body(above, len(received.images), at)

    def _whole_path(self, received: ImagesShown, width: int) -> list[Line]:
        """Return the path of the image under the cursor, in as many lines as the longest takes."""
        paths = [self.glyphs.text(sanitize(image.path)) for image in received.images]
        longest = len(wrapped(max(paths, key=cell_len), width - 4, MOST_PATH_LINES))
        shown = wrapped(paths[self.cursor], width - 4, MOST_PATH_LINES)
        lines: list[Line] = [line(f"  {part}") for part in shown]
        return [*lines, *[()] * (longest - len(lines))]

    def keys(self) -> list[tuple[str, str]]:
        other = TITLES["wrong" if self.what == "batch" else "batch"]
        larger = [] if self._no_pictures else [("Enter", "smaller" if self.large else "larger")]
        return [("Tab", other), *larger, ("r", "again")]

    # --- keys -----------------------------------------------------------------------------------

    def pressed(self, key: str) -> bool:
        grid = self._grid()
        across = 1 if self._no_pictures or self.large else grid.columns
        moves = {"right": 1, "l": 1, "left": -1, "h": -1, "down": across, "j": across}
        moves |= {"up": -across, "k": -across}
        page = across * max(1, grid.rows if not self._no_pictures else self.size.height - 6)
        moves |= {"pagedown": page, "space": page, "pageup": -page}
        moves |= {"home": -(10**6), "g": -(10**6), "end": 10**6, "G": 10**6}
        if key in ("tab", "shift+tab"):
            self.what = "wrong" if self.what == "batch" else "batch"
            self.cursor = self.offset_line = 0
            self._cells.clear()
            self._request_pictures()
        elif key == "enter" and not self._no_pictures:
            self.large = not self.large
            self._request_pictures()
            self._scroll_to_cursor()
        elif key in ("r", "v"):
            self._request_pictures(again=True)
        elif key in moves:
            self._move(moves[key])
        elif key == "escape" and self.large:
            self.large = False
            self._scroll_to_cursor()
        else:
            return False
        return True

    def _move(self, images: int) -> None:
        received = self._received.get(self.what)
        last = len(received.images) - 1 if received else 0
        self.cursor = max(0, min(last, self.cursor + images))
        self._scroll_to_cursor()

    def _scroll_to_cursor(self) -> None:
        """Scroll by whole tiles until the image under the cursor is visible."""
        grid = self._grid()
        if self._no_pictures:
            window = max(1, self.drawing.size.height - 4 - self._pinned())
            lines, row = 1, self.cursor
        else:
            window, lines, row = grid.rows, grid.lines, self.cursor // grid.columns
        first = self.offset_line // lines
        first = max(min(first, row), row - window + 1)
        self.offset_line = 0 if self.large else first * lines
        self.redraw()

    def _pinned(self) -> int:
        """Return the number of lines above the list."""
        received = self._received.get(self.what)
        if received is None or not received.images:
            return 1
        return 1 + len(self._whole_path(received, self.drawing.size.width))

    def position_text(self) -> str:
        received = self._received.get(self.what)
        if received is None or not received.images:
            return ""
        return f"{self.cursor + 1:,} of {len(received.images):,} "


def common_folder(paths: list[str]) -> str:
    """Return the folder that contains all paths, with a slash at its end; empty if none does."""
    try:
        folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError:
        return ""  # no paths, or both absolute and relative ones
    # Keep the folder of the class in the paths even if all images are in it.
    if folder and {os.path.dirname(path) for path in paths} == {folder}:
        folder = os.path.dirname(folder)
    return f"{folder}/" if folder not in ("", "/") else ""


def _in_cells(text: str, width: int, lines: int) -> list[str]:
    """Wrap text to at most `lines` lines of `width` cells, at blanks if possible."""
    return [padded(part, width).rstrip() for part in wrapped(text, width, lines)]

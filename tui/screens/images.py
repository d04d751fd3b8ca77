"""Pictures: the coming batch as the model gets it, and the images that it is most wrong about."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal

from rich.style import Style

from tl_tui.common.metrics import share_words
from tl_tui.protocol.results import ImagesShown, Thumbnail
from tui.drawing.lines import Line, Piece, justified, line, line_width, wrapped
from tui.drawing.picture_grid import Grid, grid_of, large_grid
from tui.drawing.sanitize import padded, sanitize, shorten_path
from tui.drawing.theme import Glyphs, Palette
from tui.drawing.thumbnail import is_pixels, pixel_style, thumbnail_lines
from tui.screens.full_screen import Body, Drawing, FullScreen, body, named
from tui.state.run_state import RunState

What = Literal["batch", "wrong"]
TITLES: dict[What, str] = {"batch": "coming batch", "wrong": "most wrong"}
MOST = 24
"""Pictures that are asked for, or as many as a page holds."""


class PictureDrawing(Drawing):
    """Draws pixels beside text."""

    def line_style(self, name: str) -> Style:
        return pixel_style(name) if is_pixels(name) else super().line_style(name)


class ImagesScreen(FullScreen):
    """Two sets of pictures; each is asked of the engine when it is first seen."""

    name_shown = "images"

    def __init__(
        self,
        state: RunState,
        appearance: tuple[Palette, Glyphs],
        *,
        ask: Callable[[What, int, int], None],
        pictures: str,
        what: What = "batch",
    ) -> None:
        """
        Args:
            state: What is known.
            appearance: Colours and characters.
            ask: Has the engine send what, with so many pixels a side, so many at most.
            pictures: Empty if this terminal can show pictures; else why it cannot.
            what: What to show first.
        """
        self.what: What = what
        self.cursor = 0
        self.large = False
        self._ask, self._no_pictures = ask, pictures
        self._got: dict[What, ImagesShown] = {}
        self._asked: dict[What, int] = {}
        """Pixels a side that were asked for and have not come."""
        self._sides: dict[What, int] = {}
        """Pixels a side that were asked for when it came; the engine may have sent fewer."""
        self._cells: dict[tuple[int, int, int], list[Line]] = {}
        """Of each picture of the set that is shown, by its number and room."""
        self._seen = state.results.images
        self._results = state.results.results
        """Those that the most wrong images are of."""
        self._folder = ""
        """In which all of the images are; said once, where there is room."""
        super().__init__(state, appearance)

    def make_drawing(self) -> Drawing:
        return PictureDrawing(self._lines)

    # --- asking ---------------------------------------------------------------------------------

    def on_mount(self) -> None:
        super().on_mount()
        self.call_after_refresh(self._want)

    def on_resize(self) -> None:
        self._cells.clear()
        self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        self._want()
        self._follow()

    def _want(self, *, anew: bool = False) -> None:
        """Ask for what is shown, unless it is there or on its way as large as it is needed."""
        if self._answered:
            return
        grid = self._grid()
        side = 1 if self._no_pictures else grid.side
        if anew or max(self._sides.get(self.what, 0), self._asked.get(self.what, 0)) < side:
            self._asked[self.what] = side
            self._ask(self.what, side, max(MOST, grid.columns * grid.rows))
        self.redraw()

    def refused(self) -> None:
        """The engine does not send what was asked for last."""
        self._asked.clear()

    def show(self, state: RunState) -> None:
        shown = state.results.images
        if shown is not None and shown is not self._seen:
            self._seen = shown
            self._got[shown.selection] = shown
            self._sides[shown.selection] = self._asked.pop(
                shown.selection, self._sides.get(shown.selection, 0)
            )
            self._folder = common_folder([image.path for image in shown.images])
            self._cells.clear()
            self._results = state.results.results
        super().show(state)
        newer = state.results.results is not self._results
        old = newer if self.what == "wrong" else self._behind(state)
        if self.is_mounted and not state.running and not self._asked and old:
            self._want(anew=True)

    def _behind(self, state: RunState) -> int:
        """Steps that were taken since the pictures were made."""
        got = self._got.get(self.what)
        return abs(state.step - got.step) if got and self.what == "batch" else 0

    # --- drawing --------------------------------------------------------------------------------

    def heading(self, state: RunState, width: int) -> list[Line]:
        got = self._got.get(self.what)
        pieces: list[Piece] = [(" ", "text")]
        for what, title in TITLES.items():
            on = what == self.what
            title = f"[{title}]" if on else f" {title} "
            pieces += [(title, "chosen" if on else "text"), (" ", "text")]
        said = ""
        if got is not None:
            behind = self._behind(state)
            when = f"{behind:,} step{'' if behind == 1 else 's'} ago, " if behind else ""
            count = len(got.images)
            of = f"{count:,}" if count == got.total else f"{count:,} of {got.total:,}"
            said = f"{when}{of} images "
        lines = [justified(pieces, [(said, "dim")], width)]
        if self._no_pictures:
            lines.append(line((f"  {self._no_pictures}", "dim")))
        return lines

    def content(self, state: RunState, width: int, height: int) -> Body:
        got = self._got.get(self.what)
        if got is None:
            words = "The pictures are on their way."
            if state.phase != "ready":
                words = "There are no pictures without the engine."
            elif self.what not in self._asked:
                words = "The engine did not send them; Escape goes back."
            return body([line(f"  {words}")])
        if not got.images:
            return body([line("  No image is wrong." if self.what == "wrong" else "  No images.")])
        self.cursor = min(self.cursor, len(got.images) - 1)
        if self._no_pictures:
            return self._list(got, width, height)
        grid = self._grid(width, height)
        if self.large:
            return body([self._grid_line(got, grid, self.cursor, n) for n in range(grid.lines)])
        # Only whole tiles are drawn: a sliver of one says nothing and costs as much to send.
        rest = height - grid.rows * grid.lines
        seen = self.offset_line + grid.rows * grid.lines
        count = self._tile_rows(got, grid) * grid.lines + rest
        return Body([], count, lambda n: self._grid_row(got, grid, n) if n < seen else ())

    def _tile_rows(self, got: ImagesShown, grid: Grid) -> int:
        return -(-len(got.images) // grid.columns)

    def _grid(self, width: int = 0, height: int = 0) -> Grid:
        whole = self.drawing.size
        width, height = width or whole.width or 80, height or (whole.height or 24) - 3
        return large_grid(width, height) if self.large else grid_of(width, height)

    def _grid_row(self, got: ImagesShown, grid: Grid, number: int) -> Line:
        first = number // grid.lines * grid.columns
        pieces: list[Piece] = []
        for place in range(first, min(first + grid.columns, len(got.images))):
            pieces += self._grid_line(got, grid, place, number % grid.lines)
        return tuple(pieces)

    def _grid_line(self, got: ImagesShown, grid: Grid, place: int, number: int) -> Line:
        """One line of one tile: a line of the picture, and one of what is said beside it."""
        image = got.images[place]
        key = (place, grid.side, grid.picture_lines)
        if key not in self._cells:
            self._cells[key] = thumbnail_lines(image, grid.side, grid.picture_lines)
        picture = self._cells[key]
        row: Line = picture[number] if number < len(picture) else ()
        words = self._caption(image, place, grid.words, grid.lines)
        said = words[number] if number < len(words) else ()
        gap = " " * (grid.side - line_width(row))
        text: Line = ((" ", "text"), *row, (gap + " ", "text"), *said)
        return (*text, (" " * max(0, grid.tile - line_width(text)), "text"))

    def _caption(self, image: Thumbnail, place: int, width: int, height: int) -> list[Line]:
        """Label, what the model says, and the path, in lines of so many cells."""
        label = named(self.state, image.label, self.glyphs)
        at = place == self.cursor and not self.large
        lines: list[Line] = []
        for part in _in_cells(label, width, 2):
            lines.append(line((part, "chosen" if at else "strong")))
        if image.predicted is not None:
            sure = share_words(image.probability or 0.0)
            said = named(self.state, image.predicted, self.glyphs)
            right = image.predicted == image.label
            words = f"said so, {sure}" if right else f"said {said}, {sure}"
            lines += [
                line((part, "dim" if right else "text")) for part in _in_cells(words, width, 3)
            ]
        lines.append(())
        path = image.path if self.large else image.path.removeprefix(self._folder)
        path = self.glyphs.text(sanitize(path))
        room = max(1, min(4, height - len(lines) - 1))
        lines += [
            line((part, "dim")) for part in _in_cells(shorten_path(path, width * room), width, 9)
        ]
        return lines

    def _list(self, got: ImagesShown, width: int, height: int) -> Body:
        """The images by path, without pictures."""
        name = max(6, min(20, (width - 14) // 4))

        def at(number: int) -> Line:
            image = got.images[number]
            said = (
                "" if image.predicted is None else named(self.state, image.predicted, self.glyphs)
            )
            sure = "" if image.probability is None else share_words(image.probability)
            label = named(self.state, image.label, self.glyphs)
            mark = self.glyphs.cursor if number == self.cursor else " "
            path = shorten_path(self.glyphs.text(sanitize(image.path)), width - 2 * name - 14)
            return line(
                f" {mark} {sure:>4}  ",
                (padded(said, name), "text" if image.predicted != image.label else "dim"),
                f"  {padded(label, name)}  ",
                (path, "dim"),
            )

        head = f"   sure  {padded('said', name)}  {padded('is', name)}  path"
        return Body([line((padded(head, width), "dim"))], len(got.images), at)

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
            self._want()
        elif key == "enter" and not self._no_pictures:
            self.large = not self.large
            self._want()
            self._follow()
        elif key in ("r", "v"):
            self._want(anew=True)
        elif key in moves:
            self._move(moves[key])
        elif key == "escape" and self.large:
            self.large = False
            self._follow()
        else:
            return False
        return True

    def _move(self, images: int) -> None:
        got = self._got.get(self.what)
        last = len(got.images) - 1 if got else 0
        self.cursor = max(0, min(last, self.cursor + images))
        self._follow()

    def _follow(self) -> None:
        """Scroll, by whole tiles, so that the image under the cursor is on the screen."""
        grid = self._grid()
        if self._no_pictures:
            window, lines, at = max(1, self.drawing.size.height - 5), 1, self.cursor
        else:
            window, lines, at = grid.rows, grid.lines, self.cursor // grid.columns
        first = self.offset_line // lines
        first = max(min(first, at), at - window + 1)
        self.offset_line = 0 if self.large else first * lines
        self.redraw()

    def place(self) -> str:
        got = self._got.get(self.what)
        if got is None or not got.images:
            return ""
        return f"{self.cursor + 1:,} of {len(got.images):,} "


def common_folder(paths: list[str]) -> str:
    """The folder that holds all of the paths, with its slash; empty if there is none."""
    try:
        folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError:
        return ""  # none, or absolute and relative ones
    # The class's folder is worth its cells even if all of the images are in it.
    if folder and {os.path.dirname(path) for path in paths} == {folder}:
        folder = os.path.dirname(folder)
    return f"{folder}/" if folder not in ("", "/") else ""


def _in_cells(text: str, width: int, lines: int) -> list[str]:
    """The text in lines of so many cells, broken at blanks where there are any."""
    return [padded(part, width).rstrip() for part in wrapped(text, width, lines)]

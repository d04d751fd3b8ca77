"""Pictures of what an emulated terminal shows.

Run as a program it types keys into a command and saves pictures of what the screen shows:

    python -m tests.support.screen_picture --size 80x24 --keys 'wait:green,t,wait:updated' \\
        -o out.png -- tl-tui
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pyte

from tests.support.pseudo_terminal import Screen, Terminal

PAPER, INK = "#15171c", "#d3d7df"
NAMED = {
    "black": "#15171c",
    "red": "#cc3b3b",
    "green": "#3fb950",
    "brown": "#c4a000",
    "blue": "#3465a4",
    "magenta": "#a371c7",
    "cyan": "#06989a",
    "white": "#d3d7cf",
    "brightblack": "#6b7078",
    "brightred": "#ff5f57",
    "brightgreen": "#8ae234",
    "brightbrown": "#fce94f",
    "brightblue": "#58a6ff",
    "brightmagenta": "#d2a8ff",
    "brightcyan": "#34e2e2",
    "brightwhite": "#ffffff",
}


def picture(screen: pyte.Screen, dim: set[tuple[int, int]], file: Path) -> None:
    """Draw what an emulated screen shows, in DejaVu Sans Mono."""
    from PIL import Image, ImageDraw, ImageFont

    folder = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono"
    plain, bold = (ImageFont.truetype(f"{folder}{kind}.ttf", 16) for kind in ("", "-Bold"))
    braille = ImageFont.truetype("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", 13)
    width, height = 10, 21
    image = Image.new("RGB", (screen.columns * width, screen.lines * height), PAPER)
    draw = ImageDraw.Draw(image)

    def colour(name: str, default: str) -> str:
        return default if name == "default" else NAMED.get(name, f"#{name}")

    def faded(one: str) -> str:
        parts = [(int(one[i : i + 2], 16) + int(PAPER[i : i + 2], 16)) // 2 for i in (1, 3, 5)]
        return "#" + "".join(f"{part:02x}" for part in parts)

    for y in range(screen.lines):
        for x in range(screen.columns):
            cell = screen.buffer[y][x]
            ink, paper = colour(cell.fg, INK), colour(cell.bg, PAPER)
            if (y, x) in dim:
                ink = faded(ink)
            if cell.reverse:
                ink, paper = paper, ink
            box = (x * width, y * height, (x + 1) * width - 1, (y + 1) * height - 1)
            draw.rectangle(box, fill=paper)
            if cell.data == "█":
                draw.rectangle(box, fill=ink)
            elif cell.data.strip():
                dots = 0x2800 <= ord(cell.data[0]) < 0x2900  # missing in the monospaced font
                font = braille if dots else bold if cell.bold else plain
                draw.text((x * width, y * height + 1), cell.data, font=font, fill=ink)
    image.save(file)


class DimScreen(Screen):
    """A screen that remembers which cells are dim, which pyte does not."""

    def __init__(self, columns: int, lines: int) -> None:
        self.dim: set[tuple[int, int]] = set()
        self._faint = False
        super().__init__(columns, lines)

    def select_graphic_rendition(self, *attrs: int, **options: object) -> None:
        if options.get("private"):
            return
        values = list(attrs) or [0]
        while values:
            value = values.pop(0)
            if value in (38, 48):
                del values[: 2 if values[:1] == [5] else 4]
            elif value in (0, 22):
                self._faint = False
            elif value == 2:
                self._faint = True
        super().select_graphic_rendition(*attrs, **options)

    def draw(self, data: str) -> None:
        for character in data:
            before = (self.cursor.y, self.cursor.x)
            super().draw(character)
            after = (self.cursor.y, self.cursor.x - 1)
            for position in {before, after} if after[0] == before[0] else {after}:
                (self.dim.add if self._faint else self.dim.discard)(position)

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        super().erase_in_line(how, private)
        self.dim -= {position for position in self.dim if position[0] == self.cursor.y}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="80x24")
    parser.add_argument("--keys", default="", help="keys, wait:REGEX, settle, shot:FILE; by commas")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    columns, rows = map(int, arguments.size.split("x"))
    env = dict(pair.split("=", 1) for pair in arguments.env)
    terminal = Terminal(arguments.command, columns=columns, rows=rows, env=env)
    screen = terminal.screen = DimScreen(columns, rows)
    terminal.stream = pyte.ByteStream(screen)
    for key in filter(None, arguments.keys.split(",")):
        if key.startswith("wait:"):
            terminal.wait_for(key[5:])
        elif key.startswith("shot:"):
            picture(screen, screen.dim, Path(key[5:]))
        elif key == "settle":
            terminal.settle()
        else:
            terminal.press(key)
            terminal.read(0.2)
    terminal.settle()
    sys.stdout.write(terminal.text + "\n")
    if arguments.output:
        picture(screen, screen.dim, arguments.output)
    terminal.close()


if __name__ == "__main__":
    main()

"""The tower's cells: the cursor's marker, bricks with their channel, and the wall's foot."""

from __future__ import annotations

from tui.drawing.lines import Line, Piece, PlacedPiece, at_columns
from tui.drawing.theme import Glyphs
from tui.stack.columns import Columns
from tui.stack.replay import Frame
from tui.stack.stack_lines import StackLine
from tui.state.layer_status import Brick, Channel


def tower_cells(
    line: StackLine, columns: Columns, glyphs: Glyphs, *, flowed: bool, frame: Frame | None = None
) -> Line:
    """One line of the tower.

    Args:
        line: The line.
        columns: Where things stand.
        glyphs: The terminal's characters.
        flowed: Some gradient flowed in the last measured step: the loss points down in red.
        frame: A moment of a replay; None shows the trail as it stands at its end.
    """
    brick = columns.brick
    pieces: list[PlacedPiece] = []
    if line.kind == "loss":
        pieces = [(4, glyphs.loss * (brick - 2), "gradient" if flowed else "dim")]
    elif line.kind == "images":
        pieces = [(4, glyphs.images * (brick - 2), "text")]
    elif line.kind == "wall" and line.wall is not None:
        rule = glyphs.wall_dashed if line.wall.dashed else glyphs.wall
        foot = glyphs.wall_brick * brick
        pieces = [(1, rule * 2 + foot + rule, "gradient")]
    elif line.brick is not None:
        pieces = _brick(line, columns, glyphs, frame)
        if line.cursor:
            pieces.insert(0, (1, glyphs.cursor, "text"))
    return at_columns(columns.tower, pieces)


def _brick(
    line: StackLine, columns: Columns, glyphs: Glyphs, frame: Frame | None
) -> list[PlacedPiece]:
    brick = line.brick
    assert brick is not None and line.shows is not None
    edge = (columns.brick - 3) // 2
    channel = brick.channel
    if frame is not None:
        channel = frame.channel(line.shows, channel)
    middle = channel_cells(channel, glyphs)
    if line.kind == "header":
        return [(3 + edge, *middle)] if channel.reached else []
    left, right = _edges(brick)
    ends = [_edge(left, glyphs) * edge, _edge(right, glyphs) * edge]
    if channel.kind == "cached":
        ends = [glyphs.cached * edge] * 2
    return [(3, ends[0], left), (3 + edge, *middle), (6 + edge, ends[1], right)]


def _edges(brick: Brick) -> tuple[str, str]:
    return {
        "all": ("trainable", "trainable"),
        "none": ("frozen", "frozen"),
        "partial": ("trainable", "frozen"),
    }[brick.wanted]


def _edge(what: str, glyphs: Glyphs) -> str:
    return glyphs.solid if what == "trainable" else glyphs.shade


def channel_cells(channel: Channel, glyphs: Glyphs) -> Piece:
    """The three cells of a channel and their style."""
    style = {"head": "gradient+strong", "trail": "gradient", "faint": "gradient+dim"}[channel.glow]
    if channel.kind == "closed":
        return glyphs.shade * 3, "frozen"
    if channel.kind == "cached":
        return glyphs.cached * 3, "frozen"
    if channel.kind == "open":
        return "   ", "text"
    if channel.kind == "nonfinite":
        return glyphs.nonfinite * 3, "alarm"
    if channel.kind == "cut off":
        return f" {glyphs.cut_off} ", "strong"
    if channel.kind == "vanished":
        return f" {glyphs.vanished} ", style
    dot = glyphs.updated if channel.kind == "updated" else glyphs.passed
    return {1: f" {dot} ", 2: f"{dot} {dot}", 3: dot * 3}[channel.dots], style

"""The cells of the tower: the cursor's marker, the bricks, and the left part of the wall."""

from __future__ import annotations

from tui.drawing.lines import Line, Piece, PlacedPiece, at_columns
from tui.drawing.theme import Glyphs
from tui.stack.columns import Columns
from tui.stack.replay import Frame
from tui.stack.stack_lines import StackLine
from tui.state.layer_status import GradientFlow, LayerStatus


def tower_cells(
    line: StackLine, columns: Columns, glyphs: Glyphs, *, flowed: bool, frame: Frame | None = None
) -> Line:
    """Return one line of the tower.

    Args:
        line: The line.
        columns: The layout of the columns.
        glyphs: The terminal's characters.
        flowed: Whether a gradient flowed in the last measured step, so that the loss is red.
        frame: A frame of a replay; None shows the last measured step.
    """
    width = columns.brick_width
    pieces: list[PlacedPiece] = []
    if line.kind == "loss":
        pieces = [(4, glyphs.loss * (width - 2), "gradient" if flowed else "dim")]
    elif line.kind == "images":
        pieces = [(4, glyphs.images * (width - 2), "text")]
    elif line.kind == "wall" and line.wall is not None:
        rule = glyphs.wall_dashed if line.wall.predicted else glyphs.wall
        foot = glyphs.wall_brick * width
        pieces = [(1, rule * 2 + foot + rule, "gradient")]
    elif line.status is not None:
        pieces = _brick(line, columns, glyphs, frame)
        if line.cursor:
            pieces.insert(0, (1, glyphs.cursor, "text"))
    return at_columns(columns.tower, pieces)


def _brick(
    line: StackLine, columns: Columns, glyphs: Glyphs, frame: Frame | None
) -> list[PlacedPiece]:
    status = line.status
    assert status is not None and line.shows is not None
    edge = (columns.brick_width - 3) // 2
    flow = status.flow
    if frame is not None:
        flow = frame.flow(line.shows, flow)
    middle = flow_cells(flow, glyphs)
    if line.kind == "header":
        return [(3 + edge, *middle)] if flow.reached else []
    left, right = _edges(status)
    ends = [_edge(left, glyphs) * edge, _edge(right, glyphs) * edge]
    if flow.kind == "cached":
        ends = [glyphs.cached * edge] * 2
    return [(3, ends[0], left), (3 + edge, *middle), (6 + edge, ends[1], right)]


def _edges(status: LayerStatus) -> tuple[str, str]:
    return {
        "all": ("trainable", "trainable"),
        "none": ("frozen", "frozen"),
        "partial": ("trainable", "frozen"),
    }[status.wanted]


def _edge(what: str, glyphs: Glyphs) -> str:
    return glyphs.solid if what == "trainable" else glyphs.shade


def flow_cells(flow: GradientFlow, glyphs: Glyphs) -> Piece:
    """Return the three cells in the middle of a brick with their style."""
    style = {"head": "gradient+strong", "trail": "gradient", "faint": "gradient+dim"}[flow.glow]
    if flow.kind == "closed":
        return glyphs.shade * 3, "frozen"
    if flow.kind == "cached":
        return glyphs.cached * 3, "frozen"
    if flow.kind == "open":
        return "   ", "text"
    if flow.kind == "nonfinite":
        return glyphs.nonfinite * 3, "alarm"
    if flow.kind == "cut off":
        return f" {glyphs.cut_off} ", "strong"
    if flow.kind == "vanished":
        return f" {glyphs.vanished} ", style
    dot = glyphs.updated if flow.kind == "updated" else glyphs.passed
    return {1: f" {dot} ", 2: f"{dot} {dot}", 3: dot * 3}[flow.dots], style

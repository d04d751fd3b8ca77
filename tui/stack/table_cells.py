"""The cells of the table: the layers, the loss above them and the images below."""

from __future__ import annotations

import math

from tl_tui.protocol.session import SessionOpened
from tl_tui.protocol.training import LayerMeasurement
from tui.drawing.lines import Line, PlacedPiece, at_columns, shorten_middle
from tui.drawing.theme import Glyphs
from tui.stack.columns import (
    BAR,
    DECADES,
    NAME,
    NORM,
    RATE,
    RATIO,
    REACH,
    STATE,
    Columns,
)
from tui.stack.stack_lines import StackLine
from tui.state.layer_status import LayerStatus
from tui.state.moment import moment_of
from tui.state.run_state import RunState
from tui.text.boundary import boundary_comparison, boundary_sentence
from tui.text.feature_cache import feature_cache_texts
from tui.text.format import (
    format_count,
    format_measured,
    format_ms,
    format_narrow_loss,
    format_params,
    format_rate,
)
from tui.text.layer_names import short_name
from tui.text.moments import age_text
from tui.text.progress import baseline_counts

NOT_EXECUTED = "not executed"
"""Shown instead of numbers for a layer whose output is cached."""


def table_cells(line: StackLine, columns: Columns, glyphs: Glyphs, state: RunState) -> Line:
    """Return one line of the table."""
    if line.kind == "heading":
        pieces = _heading(columns, glyphs, state)
    elif state.session is None or line.kind == "blank":
        pieces = []
    elif line.kind == "loss":
        pieces = _loss(columns, glyphs, state)
    elif line.kind == "images":
        pieces = _images(columns, glyphs, state)
    elif line.kind == "wall":
        pieces = _wall(line, columns, glyphs, state.session)
    elif line.kind == "header":
        pieces = _header(line, columns, glyphs, state.session)
    else:
        pieces = _layer(line, columns, glyphs, state.session)
    return at_columns(columns.table, pieces)


def _heading(columns: Columns, glyphs: Glyphs, state: RunState) -> list[PlacedPiece]:
    low, high = (f"1e{power}" for power in DECADES)
    reach, bar = "reach", f"{low} log {high}"
    if (when := age_text(state.measured, state.now)) and columns.reach is not None:
        # The rows show an earlier step than the line with the loss.
        room = (columns.norm or columns.end + 1) - columns.reach - 1
        forms = (f"measured in {when}", f"of {when}", when, f"@{when.rpartition(' ')[2]}")
        reach, bar = next((form for form in forms if len(form) <= room), forms[-1]), ""
    headings = [
        (0, "layer", 0),
        (columns.state, "state", 0),
        (columns.reach, reach, 0),
        (columns.bar, bar, 0),
        (columns.norm, glyphs.norm, NORM),
        (columns.ratio, glyphs.ratio, RATIO),
        (columns.rate, "lr", RATE),
        (None if columns.role is None else columns.role + 2, "role", 0),
    ]
    return [
        (at, text.rjust(width), "dim") for at, text, width in headings if at is not None and text
    ]


# --- a layer ------------------------------------------------------------------------------------


def _layer(
    line: StackLine, columns: Columns, glyphs: Glyphs, session: SessionOpened
) -> list[PlacedPiece]:
    status = line.status
    assert status is not None
    quiet = "unreached" if status.dim else "dim" if status.stale else "text"
    state, reach = _state(status, glyphs), _reach(status, glyphs)
    state_style = "text" if status.stale or not status.dim else "unreached"
    finding = status.flow.kind in ("cut off", "vanished")
    alarm = status.flow.kind == "nonfinite" and not status.stale
    reach_style = "alarm" if alarm else "strong" if finding and not status.stale else quiet
    pieces = _name(line, columns, glyphs, session)
    pieces.append((columns.state, state, state_style))
    pieces.append((columns.reach, shorten_middle(reach, REACH, glyphs.ellipsis), reach_style))
    measurement = status.measurement
    if measurement is not None:
        norm, ratio = _numbers(status, measurement, glyphs)
        bar = _bar(measurement.grad_norm, glyphs) if status.flow.kind == "updated" else ""
        style = "dim" if status.stale else "gradient"
        number_style = "alarm" if alarm else quiet
        if columns.bar is not None and bar:
            pieces.append((columns.bar, bar, style))
        if status.flow.kind == "cached" and columns.norm is not None and columns.ratio:
            width = columns.ratio + RATIO - columns.norm
            pieces.append(_right(columns.norm, width, NOT_EXECUTED, quiet))
        elif columns.norm is not None:
            pieces.append(_right(columns.norm, NORM, norm, number_style))
            if columns.ratio is not None:
                pieces.append(_right(columns.ratio, RATIO, ratio, number_style))
    if columns.rate is not None:
        pieces += _rate(status, columns.rate, glyphs, quiet)
    if columns.role is not None:
        pieces.append((columns.role, _bracket(line, glyphs), "dim"))
        pieces.append((columns.role + 2, line.role, "unreached" if status.dim else "text"))
    return pieces


def _right(column: int, width: int, text: str, style: str) -> PlacedPiece:
    """Align a number to the right of its column, without a style for the blanks before it."""
    return column + max(0, width - len(text)), text, style


def _name(
    line: StackLine, columns: Columns, glyphs: Glyphs, session: SessionOpened
) -> list[PlacedPiece]:
    status, target, stack = line.status, line.target, session.stack
    assert status is not None and target is not None
    style = "frozen_name" if status.wanted == "none" else "trainable_name"
    if status.dim:
        style += "+unreached"
    width = columns.name
    if target.kind == "owner":
        branch = glyphs.last_branch if line.last_part else glyphs.branch
        name = shorten_middle(short_name(stack, target.index), width - 2, glyphs.ellipsis)
        return [(0, branch, "dim"), (2, name, style)]
    if target.kind == "stage":
        name = shorten_middle(stack.stages[target.index].name, width - 2, glyphs.ellipsis)
        return [(0, name, style), (len(name) + 1, glyphs.collapsed, "text")]
    row = stack.rows[target.index]
    if not columns.marks or row.end_owner - row.first_owner < 2:
        return [(0, shorten_middle(row.name, width, glyphs.ellipsis), style)]
    name = shorten_middle(row.name, width - 2, glyphs.ellipsis)
    mark = glyphs.expanded if line.expanded else glyphs.collapsed
    return [(0, name, style), (len(name) + 1, mark, "dim" if status.dim else "text")]


def _rate(status: LayerStatus, column: int, glyphs: Glyphs, quiet: str) -> list[PlacedPiece]:
    """Return the learning rate, with a mark before it if it was set by hand."""
    if status.wanted == "none" and not status.by_hand:
        return [_right(column, RATE, glyphs.no_gradient, quiet)]
    text = format_rate(status.rate)
    style = quiet if status.wanted == "none" else "text"
    if not status.by_hand:
        return [_right(column, RATE, text, style)]
    at = column + RATE - len(text)
    return [(at - 1, glyphs.by_hand, "strong"), (at, text, "strong" if style == "text" else style)]


def _state(status: LayerStatus, glyphs: Glyphs) -> str:
    if status.pending:
        word = {"all": "train", "none": "frozen", "partial": status.share}[status.wanted]
        text = f"{glyphs.pending} {word}"
        return text if len(text) <= 8 else glyphs.pending + word
    if status.thaws_in is not None:
        return f"{glyphs.pending} ep {status.thaws_in}"[:STATE]
    if status.resting and status.wanted == "all":
        return "lr 0"
    return {"all": "train", "none": "frozen", "partial": f"part {status.share}"}[status.wanted]


def _reach(status: LayerStatus, glyphs: Glyphs) -> str:
    measurement = status.measurement
    if measurement is None:
        return ""
    if status.flow.kind in ("vanished", "cached"):
        return status.flow.kind
    if status.flow.kind == "nonfinite":
        norm = measurement.grad_norm
        word = "inf" if norm is not None and math.isinf(norm) else "nan"
        count = f" ×{format_count(measurement.nonfinite)}" if measurement.nonfinite else ""
        return glyphs.text(word + count)
    return measurement.reach


def _numbers(status: LayerStatus, measurement: LayerMeasurement, glyphs: Glyphs) -> tuple[str, str]:
    if status.flow.kind in ("passed", "nonfinite") and measurement.grad_norm is None:
        return glyphs.no_gradient, glyphs.no_gradient
    if measurement.reach == "unreached":
        return glyphs.unreached, glyphs.unreached
    norm, ratio = measurement.grad_norm, measurement.update_ratio
    return format_measured(norm, glyphs), format_measured(ratio, glyphs)


def _bar(norm: float | None, glyphs: Glyphs) -> str:
    if norm is None or not math.isfinite(norm) or norm <= 0:
        return ""
    low, high = DECADES
    share = (math.log10(norm) - low) / (high - low)
    # Half cells, rounded down, and at least one.
    halves = max(1, min(2 * BAR, int(share * 2 * BAR)))
    return glyphs.bar * (halves // 2) + glyphs.bar_half * (halves % 2)


def _bracket(line: StackLine, glyphs: Glyphs) -> str:
    return {
        "": "",
        "alone": glyphs.role_alone,
        "first": glyphs.role_first,
        "middle": glyphs.role_middle,
        "last": glyphs.role_last,
    }[line.bracket]


# --- the other lines ----------------------------------------------------------------------------


def _header(
    line: StackLine, columns: Columns, glyphs: Glyphs, session: SessionOpened
) -> list[PlacedPiece]:
    assert line.target is not None
    stage = session.stack.stages[line.target.index]
    # A stage of one row (the stem) has the same name as its row.
    name = "stem" if stage.end_row - stage.first_row == 1 else stage.name
    pieces = [(0, shorten_middle(name, columns.name, glyphs.ellipsis), "dim")]
    pieces.append((columns.state, stage.role, "dim"))
    if columns.bar is not None:
        shape = glyphs.text(" × ".join(map(str, stage.output_shape)))
        pieces.append((columns.bar, shape, "dim"))
    if columns.rate is not None:
        params = format_params(stage.params)
        pieces.append(_right(columns.rate - 2, RATE + 2, params, "dim"))
    return pieces


def _loss(columns: Columns, glyphs: Glyphs, state: RunState) -> list[PlacedPiece]:
    session, last = state.session, state.last
    assert session is not None
    if last is None:
        pieces = [(1, "loss", "strong"), (6, glyphs.no_gradient, "dim")]
        if state.step:  # a resumed run
            pieces.append(_right(columns.end - 20, 20, f"step {state.step}", "text"))
        return pieces
    value = format_narrow_loss(last.loss)
    style = "strong" if math.isfinite(last.loss) else "alarm"
    stepping = state.running or (state.busy is not None and state.busy.kind == "step")
    ellipsis = f" {glyphs.ellipsis}" if stepping else ""
    took = format_ms(1000 * last.seconds)
    batch = f"batch {last.correct}/{last.batch}"
    left: list[tuple[tuple[int, str, str], ...]] = [((2, batch, "text"),)]
    """Pieces, each in several lengths, longest first: blanks before it, text and style."""
    seen = state.validated
    if seen is not None and seen.total:
        # A validation of earlier weights stays until the next one, with its step.
        when, counts = age_text(seen, moment_of(last)), f"val {seen.correct}/{seen.total}"
        if when:
            texts = (f"{counts} at {when}", f"{counts} @{seen.step}")
            left.append(tuple((2, text, "dim") for text in texts))
        else:
            left.append(((2, counts, "text"),))
        guesses = baseline_counts(session, seen)
        left.append(tuple((1, guess, "dim" if when else "text") for guess in guesses))
    right = [f"step {last.step}{ellipsis}", glyphs.text(f"· {took}")]
    if last.captured:
        right.append("captured")

    at = 1 + len("loss ") + len(value)
    room = columns.end
    end = " ".join(right)
    while len(right) > 1 and at + 2 + len(batch) + 2 + len(end) > room:
        right.pop()
        end = " ".join(right)
    pieces = [(1, "loss ", "strong"), (6, value, style)]
    for forms in left:
        fitting = (form for form in forms if at + form[0] + len(form[1]) + 2 + len(end) <= room)
        if (form := next(fitting, None)) is None:
            break
        pieces.append((at + form[0], *form[1:]))
        at += form[0] + len(form[1])
    if at + 2 + len(end) <= room:
        pieces.append((room - len(end), end, "text"))
    return pieces


def _images(columns: Columns, glyphs: Glyphs, state: RunState) -> list[PlacedPiece]:
    session = state.session
    assert session is not None
    side = session.image_size
    short = f"images  3 × {side} × {side}"
    long = f"{short}, batch of {session.batch_size}"
    if 1 + len(long) > columns.table:
        long = short
    for form in feature_cache_texts(state.training.features, state.now):
        for text in (long, short):  # the line with the loss contains the batch too
            if len(text) + 3 + len(form) <= columns.end:
                right = columns.end - len(form), glyphs.text(form), "dim"
                return [(1, glyphs.text(text), "text"), right]
    return [(1, glyphs.text(long), "text")]


def _wall(
    line: StackLine, columns: Columns, glyphs: Glyphs, session: SessionOpened
) -> list[PlacedPiece]:
    wall = line.wall
    assert wall is not None
    end = columns.end if columns.role is None else columns.role - 1
    rule = glyphs.wall_dashed if wall.predicted else glyphs.wall
    layer = arrow = ""
    if line.pinned:
        arrow = f"{glyphs.above if line.pinned == 'above' else glyphs.below} "
        if wall.row is not None:
            name = session.stack.rows[wall.row].name
            layer = shorten_middle(name, 2 * NAME, glyphs.ellipsis)
    sentence = f"{arrow}{boundary_sentence(wall, layer)}"
    comparisons = boundary_comparison(wall, session.stack)
    forms = [*(f"{sentence} · {comparison}" for comparison in comparisons), sentence]
    form = next((form for form in forms if 1 + len(form) <= end), sentence)
    text = shorten_middle(glyphs.text(form), end - 1, glyphs.ellipsis)
    pieces = [(0, " ", "text"), (1, text, "gradient")]
    if (fill := end - len(text) - 2) > 0:
        pieces.append((len(text) + 2, rule * fill, "gradient"))
    if columns.role is not None:
        pieces.append((columns.role, _bracket(line, glyphs), "dim"))
    return pieces

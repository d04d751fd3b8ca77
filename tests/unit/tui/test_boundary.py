"""The drawn boundary: where the gradient stopped or will stop, and what the line says."""

from __future__ import annotations

import pytest

from tests.support.stack_messages import (
    bottleneck_stack,
    measured,
    opened,
    owners_named,
    resnet18_stack,
    step_taken,
)
from tl_tui.protocol.layers import StackInfo
from tui.drawing.lines import Line
from tui.drawing.theme import UNICODE, Glyphs
from tui.stack.stack_lines import stack_lines
from tui.stack.table_cells import table_cells
from tui.stack.tower_cells import tower_cells
from tui.state.cursor import StackCursor
from tui.state.run_state import RunState

RESNET18, RESNET152 = resnet18_stack(), bottleneck_stack()


TAUGHT = owners_named(RESNET18, "fc", "layer4.1", "layer3.1")


def state_of(stack: StackInfo, mask, wanted=None, **step) -> RunState:
    """Return a state after one measured step with a mask, and perhaps another wanted mask."""
    state = RunState()
    state.apply(opened(stack, mask))
    state.apply(step_taken(stack, mask, **step))
    if wanted is not None:
        state.wanted = frozenset(wanted)
    return state


def view_of(state: RunState) -> StackCursor:
    view = StackCursor()
    view.take(state.stack)
    return view


def text(spans: Line) -> str:
    return "".join(piece for piece, _ in spans)


def drawn(
    state: RunState,
    width: int = 80,
    height: int = 14,
    *,
    view: StackCursor | None = None,
    glyphs: Glyphs = UNICODE,
    wide: bool = False,
) -> list[str]:
    """Return the lines as the screen shows them."""
    picture = stack_lines(state, view or view_of(state), width, height, wide=wide)
    return [
        text(tower_cells(line, picture.columns, glyphs, flowed=True))
        + text(table_cells(line, picture.columns, glyphs, state))
        for line in picture.lines
    ]


def wall_lines(state: RunState, **kwargs) -> tuple[str, str, str]:
    """Return the line above the wall, the wall, and the line below."""
    lines = drawn(state, **kwargs)
    (at,) = [n for n, line in enumerate(lines) if "▀" in line]
    return lines[at - 1], lines[at], lines[at + 1] if at + 1 < len(lines) else ""


def test_before_a_step_the_wall_is_dashed_where_the_gradient_will_stop():
    state = RunState()
    state.apply(opened(RESNET18, owners_named(RESNET18, "fc", "layer3.1")))
    above, wall, below = wall_lines(state)
    assert "layer3.1" in above and "layer3.0" in below
    assert "╍╍▀▀▀▀▀▀▀╍ gradient will stop here ╍╍" in wall


def test_after_a_step_the_wall_is_solid_where_the_gradient_was_measured_to_stop():
    above, wall, below = wall_lines(state_of(RESNET18, TAUGHT, step=12))
    assert "layer3.1" in above and "layer3.0" in below
    assert "━━▀▀▀▀▀▀▀━ gradient stopped here · measured in step 12 ━━" in wall


def test_the_measured_wall_follows_the_measurement_not_the_mask():
    rows = {row.name: measured("unreached") for row in RESNET18.rows if row.name != "fc"}
    above, wall, _ = wall_lines(state_of(RESNET18, TAUGHT, rows=rows))
    assert "fc" in above and "gradient stopped here" in wall


@pytest.mark.parametrize(
    ("wanted", "above", "text"),
    [
        ("layer3.0", "layer3.0", "gradient will stop here · step 12 stopped one row higher"),
        ("layer1.0", "layer1.0", "gradient will stop here · step 12 stopped 5 rows higher"),
        ("conv1", "images", "the gradient will go all the way down"),
    ],
)
def test_a_pending_wall_shows_how_it_differs(wanted, above, text):
    state = state_of(RESNET18, TAUGHT, {*TAUGHT, *owners_named(RESNET18, wanted)}, step=12)
    line, wall, _ = wall_lines(state)
    assert above in line and text in wall


def test_freezing_everything_puts_the_wall_below_the_loss():
    pending = state_of(RESNET18, TAUGHT, ())
    above, wall, below = wall_lines(pending)
    assert "loss" in above and "nothing to train" in wall and "fc" in below
    done = state_of(RESNET18, ())
    assert "nothing to train: loss computed, no gradient flows" in wall_lines(done)[1]


def test_training_everything_puts_the_wall_below_the_images():
    above, wall, _ = wall_lines(state_of(RESNET18, range(41), step=7))
    assert "images" in above
    assert "the gradient went all the way down · measured in step 7" in wall


def test_the_wall_is_below_the_parts_of_an_expanded_row():
    state = state_of(RESNET18, TAUGHT)
    view = view_of(state)
    view.find("layer3.1")
    view.expand()
    assert "└ conv1" in wall_lines(state, view=view, height=20)[0]

"""The cursor in the stack: moving, scrolling, folding and finding."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.stack_messages import (
    bottleneck_stack,
    opened,
    owners_named,
    resnet18_stack,
    step_taken,
)
from tl_tui.protocol.layers import StackInfo
from tui.drawing.lines import Line
from tui.drawing.theme import UNICODE, Glyphs
from tui.stack.stack_lines import Picture, StackLine, stack_lines
from tui.stack.table_cells import table_cells
from tui.stack.tower_cells import tower_cells
from tui.state.cursor import StackCursor, Target, target_name, target_owners
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


def walls(picture: Picture) -> list[StackLine]:
    return [line for line in picture.lines if line.kind == "wall"]


def test_the_cursor_is_always_in_a_window_of_ten_lines():
    state = state_of(RESNET152, owners_named(RESNET152, "fc"), step=3)
    view = view_of(state)
    view.home()
    seen = []
    for _ in range(len(RESNET152.rows)):
        picture = stack_lines(state, view, 80, 10)
        view.offset, view.window = picture.offset, picture.window
        assert [line.cursor for line in picture.lines].count(True) == 1
        assert picture.lines[1].kind == "loss" and len(walls(picture)) == 1
        seen.append(view.cursor.index)
        view.move(1)
    assert seen == list(range(51, -1, -1))


def test_a_wall_outside_of_the_window_is_pinned_to_its_edge():
    state = state_of(RESNET152, owners_named(RESNET152, "fc"), step=3)
    view = view_of(state)
    view.end()
    lines = drawn(state, height=10, view=view)
    assert "↑ gradient stopped below fc · measured in step 3" in lines[2]
    assert "images" in lines[-1] and "conv1" in lines[-2]

    deep = state_of(RESNET152, owners_named(RESNET152, "fc", "layer2.3"), step=3)
    view.home()
    lines = drawn(deep, height=10, view=view)
    assert "↓ gradient stopped below layer2.3 · measured in step 3" in lines[-1]


def test_the_images_stay_at_the_foot_of_a_taller_window():
    state = state_of(RESNET152, owners_named(RESNET152, "fc"))
    assert "images" in drawn(state, height=14)[-1]
    everything = state_of(RESNET152, range(len(RESNET152.owners)))
    lines = drawn(everything, height=14)
    assert "images" in lines[-2] and "all the way down" in lines[-1]


def test_the_wheel_moves_the_window_and_the_next_key_brings_it_back():
    state = state_of(RESNET152, owners_named(RESNET152, "fc"))
    view = view_of(state)
    view.home()
    view.scroll(20)
    picture = stack_lines(state, view, 80, 14)
    assert picture.offset == 20 and not any(line.cursor for line in picture.lines)
    view.scroll(1000)
    assert stack_lines(state, view, 80, 14).offset == len(RESNET152.rows) - picture.window
    view.move(1)
    assert any(line.cursor for line in stack_lines(state, view, 80, 14).lines)


@settings(deadline=None)
@given(height=st.integers(1, 60), width=st.integers(1, 200), wide=st.booleans())
def test_there_are_exactly_as_many_lines_as_the_height(height, width, wide):
    state = state_of(RESNET152, owners_named(RESNET152, "fc", "layer2"))
    lines = drawn(state, width, height, wide=wide)
    assert len(lines) == height


def folded(view: StackCursor) -> list[str]:
    return [target_name(RESNET18, target) for target in view.targets()]


def test_left_folds_and_right_expands():
    view = view_of(state_of(RESNET18, TAUGHT))
    view.find("layer4.1")
    assert view.expand() and folded(view)[1:6] == [
        "layer4.1",
        "layer4.1.bn2",
        "layer4.1.conv2",
        "layer4.1.bn1",
        "layer4.1.conv1",
    ]
    assert view.expand() and target_name(RESNET18, view.cursor) == "layer4.1.bn2"
    assert view.collapse() and target_name(RESNET18, view.cursor) == "layer4.1"
    assert view.collapse() and folded(view)[1:3] == ["layer4.1", "layer4.0"]
    assert view.collapse() and view.cursor == Target("stage", 4)
    assert folded(view)[:3] == ["fc", "layer4", "layer3.1"]
    assert not view.collapse()
    assert view.expand() and target_name(RESNET18, view.cursor) == "layer4.1"
    view.home()
    assert not view.expand() and not view.collapse()


def test_enter_folds_and_expands():
    view = view_of(state_of(RESNET18, TAUGHT))
    view.find("layer4.1.conv2")
    assert view.toggle_fold() and view.cursor == Target("row", 8) and not view.expanded
    assert view.toggle_fold() and view.expanded == {8}
    assert view.toggle_fold() and not view.expanded


def test_find_moves_to_the_best_match_and_expands_what_hides_it():
    view = view_of(state_of(RESNET18, TAUGHT))
    view.find("layer4.1")
    view.collapse()
    for wanted, name in (
        ("layer4.0", "layer4.0"),
        ("R3.1", "layer3.1"),
        ("layer2", "layer2.1"),
        ("layer2.0.downsample.1", "layer2.0.downsample.1"),
        ("fc", "fc"),
        ("textures", "layer1.1"),
    ):
        assert view.find(wanted)
        assert target_name(RESNET18, view.cursor) == name
        assert view.cursor in view.targets()
    assert not view.find("no such layer")
    assert target_name(RESNET18, view.cursor) == "layer1.1"


def test_another_stack_keeps_the_cursor_on_the_same_layer():
    view = view_of(state_of(RESNET18, TAUGHT))
    view.find("layer3.1")
    view.expand()
    view.take(RESNET152)
    assert target_name(RESNET152, view.cursor) == "layer3.1" and not view.expanded
    view.find("layer3.20")
    view.take(RESNET18)
    assert target_name(RESNET18, view.cursor) == "fc"


def test_a_target_has_the_owners_of_its_rows():
    state = state_of(RESNET18, TAUGHT)
    assert target_owners(state, Target("row", 9)) == range(40, 41)
    assert target_owners(state, Target("owner", 7)) == range(7, 8)
    assert target_owners(state, Target("stage", 4)) == range(30, 40)

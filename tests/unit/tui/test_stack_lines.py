"""The drawing of the stack: every status, the position of the wall, and the visible lines."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.stack_messages import (
    bottleneck_stack,
    measured,
    opened,
    owners_named,
    resnet18_stack,
    step_taken,
)
from tl_tui.protocol.layers import StackInfo
from tl_tui.protocol.training import FeatureCacheReported, Validated
from tui.drawing.lines import Line, shorten_middle, split_at
from tui.drawing.theme import ASCII, UNICODE, Glyphs
from tui.stack.columns import columns_of
from tui.stack.stack_lines import Picture, StackLine, stack_lines
from tui.stack.table_cells import table_cells
from tui.stack.tower_cells import tower_cells
from tui.state.cursor import StackCursor, Target, target_name, target_owners
from tui.state.run_state import RunState
from tui.text.format import format_rate

RESNET18, RESNET152 = resnet18_stack(), bottleneck_stack()
LAST_STAGE = owners_named(RESNET18, "fc", "layer4.0", "layer4.1")
TAUGHT = owners_named(RESNET18, "fc", "layer4.1", "layer3.1")
NORMS = {"fc": 0.84, "layer4.1": 0.31, "layer3.1": 0.047}


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


def line_of(state: RunState, name: str, glyphs: Glyphs = UNICODE) -> str:
    """Return the only line that begins with a layer's name."""
    (line,) = [line for line in drawn(state, glyphs=glyphs) if line[11:].startswith(name + " ")]
    return line


def walls(picture: Picture) -> list[StackLine]:
    return [line for line in picture.lines if line.kind == "wall"]


# --- the whole stack ----------------------------------------------------------------------------


def test_the_stack_at_80_columns():
    state = state_of(RESNET18, TAUGHT, step=12, norms=NORMS)
    state.apply(Validated(start=0, step=12, correct=52, total=64, loss=0.5, yardstick=True))
    view = view_of(state)
    view.find("layer4.0")
    lines = drawn(state, view=view)
    expected = """
           layer     state    reach     1e-5 log 1e1     ‖g‖    Δw/w   role
    ▼▼▼▼▼   loss 0.431  batch 27/32  val 52/64 (chance 32)     step 12 · 9.8 ms
   ██●●●██ fc        train    updated   ━━━━━━━━━╸   8.4e-01 5.0e-05 ─ classes
   ██●●●██ layer4.1  train    updated   ━━━━━━━━╸    3.1e-01 5.0e-05 ╮ objects
 ▸ ░░○ ○░░ layer4.0  frozen   passed                       –       – ╯
   ██● ●██ layer3.1  train    updated   ━━━━━━━      4.7e-02 5.0e-05 ╮ parts
 ━━▀▀▀▀▀▀▀━ gradient stopped here · measured in step 12 ━━━━━━━━━━━━ │
   ░░░░░░░ layer3.0  frozen   unreached                    ·       · ╯
   ░░░░░░░ layer2.1  frozen   unreached                    ·       · ╮ patterns
   ░░░░░░░ layer2.0  frozen   unreached                    ·       · ╯
   ░░░░░░░ layer1.1  frozen   unreached                    ·       · ╮ textures
   ░░░░░░░ layer1.0  frozen   unreached                    ·       · ╯
   ░░░░░░░ conv1     frozen   unreached                    ·       · ─ edges
    ▲▲▲▲▲   images  3 × 224 × 224, batch of 32""".splitlines()[1:]
    assert [line.rstrip() for line in lines] == expected
    assert all(len(line) == 80 for line in lines)


def test_the_wide_stack_has_headers_rates_and_expanded_parts():
    mask = owners_named(RESNET18, "fc", "layer4.1.conv1", "layer4.1.conv2", "layer3.1")
    wanted = {*mask, *owners_named(RESNET18, "layer3.0")}
    state = state_of(RESNET18, mask, wanted, step=31, norms=NORMS)
    view = view_of(state)
    view.find("layer4.1")
    view.expand()
    view.find("layer3.0")
    lines = drawn(state, 80, 23, view=view, wide=True)
    expected = """
   ███●●●███ fc          train    updated   ━━━━━━━━━╸   8.4e-01 5.0e-05   1e-2
      ●●●    layer4      objects            512 × 7 × 7                  8.39 M
   ███●●●░░░ layer4.1 ▾  part 2/4 updated   ━━━━━━━━╸    3.1e-01 5.0e-05   1e-3
   ░░░○ ○░░░ ├ bn2       frozen   passed                       –       –      –
   ███●●●███ ├ conv2     train    updated   ━━━━━━━━╸    2.2e-01 5.0e-05   1e-3
   ░░░○ ○░░░ ├ bn1       frozen   passed                       –       –      –
   ███●●●███ └ conv1     train    updated   ━━━━━━━━╸    2.2e-01 5.0e-05   1e-3
   ░░░○ ○░░░ layer4.0 ▸  frozen   passed                       –       –      –
      ● ●    layer3      parts              256 × 14 × 14                2.10 M
   ███● ●███ layer3.1 ▸  train    updated   ━━━━━━━      4.7e-02 5.0e-05   1e-3
 ▸ ███   ███ layer3.0 ▸  → train  unreached                    ·       ·   1e-3
 ╍╍▀▀▀▀▀▀▀▀▀╍ gradient will stop here · step 31 stopped one row higher ╍╍╍╍╍╍╍╍
             layer2      patterns           128 × 28 × 28                0.53 M""".splitlines()[1:]
    assert [line.rstrip() for line in lines[2:15]] == expected


# --- every status -------------------------------------------------------------------------------

NAN = measured("updated", math.nan, math.nan, 1.0, nonfinite=12)
VANISHED = measured("updated", 3e-12, 0.0, 1.0)
AT_REST = measured("updated", 0.31, 0.0, 1.0)
CUT_OFF = measured("unreached")
ALL, NONE = ("layer4.1",), ()


@pytest.mark.parametrize(
    ("applied", "wanted", "measurement", "brick", "ascii_brick", "state", "reach", "norm", "ratio"),
    [
        pytest.param(
            ALL, ALL, None, "██●●●██", "##***##", "train", "updated", "3.1e-01", "5.0e-05",
            id="trainable, updated",
        ),
        pytest.param(
            ("layer3.1",), ("layer3.1",), None, "░░○ ○░░", "::o o::", "frozen", "passed", "–", "–",
            id="frozen, passed",
        ),
        pytest.param(
            NONE, NONE, None, "░░░░░░░", ":::::::", "frozen", "unreached", "·", "·",
            id="frozen, not reached",
        ),
        pytest.param(
            ("layer4.1.conv1", "layer4.1.conv2"), ("layer4.1.conv1", "layer4.1.conv2"), None,
            "██●●●░░", "##***::", "part 2/4", "updated", "3.1e-01", "5.0e-05",
            id="partial, updated",
        ),
        pytest.param(
            NONE, ALL, None, "██   ██", "##   ##", "→ train", "unreached", "·", "·",
            id="pending thaw",
        ),
        pytest.param(
            ALL, NONE, None, "░░●●●░░", "::***::", "→ frozen", "updated", "3.1e-01", "5.0e-05",
            id="pending freeze",
        ),
        pytest.param(
            ALL, ALL, VANISHED, "██ · ██", "## . ##", "train", "vanished", "3e-12", "0",
            id="vanished",
        ),
        pytest.param(
            ALL, ALL, NAN, "██!!!██", "##!!!##", "train", "nan ×12", "nan", "nan",
            id="not finite",
        ),
        pytest.param(
            ALL, ALL, AT_REST, "██●●●██", "##***##", "lr 0", "updated", "3.1e-01", "0",
            id="learning rate 0",
        ),
        pytest.param(
            ALL, ALL, CUT_OFF, "██ ? ██", "## ? ##", "train", "unreached", "·", "·",
            id="trainable, cut off",
        ),
    ],
)  # fmt: skip
def test_every_status_is_distinguishable_without_colour(
    applied, wanted, measurement, brick, ascii_brick, state, reach, norm, ratio
):
    mask, wanted_mask = (owners_named(RESNET18, "fc", *names) for names in (applied, wanted))
    rows = {"layer4.1": measurement} if measurement else {}
    shown = RunState()
    shown.apply(
        opened(RESNET18, mask, rates=(0.0 if measurement is AT_REST else 1e-3,) * 9 + (1e-2,))
    )
    shown.apply(step_taken(RESNET18, mask, norms=NORMS, rows=rows))
    shown.wanted = frozenset(wanted_mask)
    line = line_of(shown, "layer4.1")
    assert line[3:10] == brick
    assert line_of(shown, "layer4.1", ASCII)[3:10] == ascii_brick
    assert line[21:29].rstrip() == state
    assert line[30:39].rstrip() == reach
    assert (line[53:60].strip(), line[61:68].strip()) == (norm, ratio)
    assert line_of(shown, "layer4.1", ASCII).isascii()


def test_before_the_first_step_a_brick_is_open_where_the_gradient_will_pass():
    state = RunState()
    state.apply(opened(RESNET18, owners_named(RESNET18, "fc", "layer4.0")))
    bricks = [line_of(state, name)[3:10] for name in ("fc", "layer4.1", "layer4.0", "layer3.1")]
    assert bricks == ["██   ██", "░░   ░░", "██   ██", "░░░░░░░"]
    assert line_of(state, "fc")[30:68].strip() == ""


def test_a_layer_that_did_not_change_is_not_shown_as_lr_0_if_its_rate_is_not_0():
    state = state_of(RESNET18, owners_named(RESNET18, "fc"), rows={"fc": AT_REST})
    assert line_of(state, "fc")[21:68].split() == ["train", "updated", "━━━━━━━━╸", "3.1e-01", "0"]


def test_there_are_three_dots_from_0_1_two_from_0_001_and_one_below():
    for norm, dots in ((1e-1, "●●●"), (9.9e-2, "● ●"), (1e-3, "● ●"), (9e-4, " ● ")):
        state = state_of(RESNET18, owners_named(RESNET18, "fc"), norms={"fc": norm})
        assert line_of(state, "fc")[5:8] == dots


def test_bars_have_two_cells_per_decade_from_1e_5_to_10():
    for norm, cells in ((1e-5, 0), (1e-3, 4), (1.0, 10), (9.99, 11), (10.0, 12), (1e9, 12)):
        state = state_of(RESNET18, owners_named(RESNET18, "fc"), norms={"fc": norm})
        assert line_of(state, "fc")[40:52].count("━") == cells


def test_a_collapsed_stage_combines_its_rows():
    mask = owners_named(RESNET18, "fc", "layer4")
    state = state_of(RESNET18, mask, norms={"layer4.1": 0.3, "layer4.0": 0.4})
    view = view_of(state)
    view.find("layer4.1")
    view.collapse()
    (line,) = [line for line in drawn(state, view=view) if line[11:].startswith("layer4 ▸")]
    assert line[3:10] == "██●●●██"
    assert line[53:68].split() == ["5.0e-01", "5.0e-05"]


def test_stale_numbers_of_a_pending_row_are_dim_and_its_wanted_state_is_not():
    state = state_of(RESNET18, TAUGHT, owners_named(RESNET18, "fc"), norms=NORMS)
    picture = stack_lines(state, view_of(state), 80, 14)
    line = next(line for line in picture.lines if line.target == Target("row", 8))
    styles = {
        piece.strip(): style
        for piece, style in table_cells(line, picture.columns, UNICODE, state)
        if piece.strip()
    }
    assert styles["→ frozen"] == "text"
    assert styles["3.1e-01"] == styles["updated"] == styles["━━━━━━━━╸"] == "dim"


# --- columns ------------------------------------------------------------------------------------

masks = st.sets(st.integers(0, len(RESNET18.owners) - 1))


@settings(deadline=None)
@given(applied=masks, wanted=masks, width=st.integers(40, 130), wide=st.booleans())
def test_columns_do_not_move_and_lines_do_not_grow(applied, wanted, width, wide):
    shown = state_of(RESNET18, applied, wanted)
    fresh = RunState()
    fresh.apply(opened(RESNET18))
    for height in (5, 9, 14, 24):
        picture = stack_lines(shown, view_of(shown), width, height, wide=wide)
        assert (
            picture.columns == stack_lines(fresh, view_of(fresh), width, height, wide=wide).columns
        )
        lines = drawn(shown, width, height, wide=wide)
        assert len(lines) == height
        assert {len(line) for line in lines} == {width}
        assert len(walls(picture)) == 1


@settings(deadline=None)
@given(before=masks, after=masks)
def test_a_toggle_repaints_only_between_the_old_wall_and_the_new(before, after):
    state = state_of(RESNET18, before)
    view = view_of(state)
    old = drawn(state, view=view)
    state.wanted = frozenset(after)
    new = drawn(state, view=view)
    walls_at = [[n for n, line in enumerate(lines) if "▀" in line][0] for lines in (old, new)]
    names = [row.name for row in RESNET18.rows]
    kept = {
        name
        for number, name in enumerate(names)
        if all((owner in before) == (owner in after) for owner in state.row_owners(number))
    }
    for number, (was, now) in enumerate(zip(old, new, strict=True)):
        if not min(walls_at) <= number <= max(walls_at) and was[11:20].strip() in kept:
            # Only the bracket next to the wall changes, not the row.
            assert was == now


def test_narrow_screens_omit_role_then_ratio_then_bar():
    def present(width: int) -> list[bool]:
        columns = columns_of(RESNET18, width, wide=False, headers=False)
        return [getattr(columns, name) is not None for name in ("role", "ratio", "bar", "norm")]

    seen = [present(width) for width in range(80, 39, -1)]
    assert seen[0] == [True, True, True, True]
    assert seen[-1] == [False, False, False, False]
    # Columns are omitted in this order, and none comes back at a smaller width.
    assert [sum(flags) for flags in seen] == sorted((sum(flags) for flags in seen), reverse=True)
    assert all(flags == sorted(flags) for flags in seen)
    lines = drawn(state_of(RESNET18, TAUGHT), 40)
    assert [line[20:39].split() for line in lines[2:4]] == [["train", "updated"]] * 2


def test_long_names_are_truncated_in_the_middle():
    assert shorten_middle("features.12", 9, "…") == "fea…es.12"
    assert shorten_middle("layer4.1", 9, "…") == "layer4.1"
    assert shorten_middle("layer4.1", 2, "…") == "la"
    name = "encoder.layers.encoder_layer_11.self_attention"
    assert len(shorten_middle(name, 20, "…")) == 20 and shorten_middle(name, 20, "…").endswith(
        "attention"
    )


def test_rates_fit_their_column():
    rates = [format_rate(value) for value in (1e-2, 3e-4, 1.5e-3, 0.12345678)]
    assert rates == ["1e-2", "3e-4", "1.5e-3", "1.2e-1"]


# --- the wall -----------------------------------------------------------------------------------


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


# --- the window ---------------------------------------------------------------------------------


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


# --- cursor and folds ---------------------------------------------------------------------------


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


# --- the loss line ------------------------------------------------------------------------------


def test_the_loss_line_omits_missing_values():
    state = RunState()
    state.apply(opened(RESNET18))
    assert drawn(state)[1].split() == ["▼▼▼▼▼", "loss", "–"]
    state.apply(step_taken(RESNET18, owners_named(RESNET18, "fc"), step=4, seconds=1.5))
    assert drawn(state)[1].endswith("loss 0.431  batch 27/32" + " " * 29 + "step 4 · 1.50 s ")
    state.running = True
    assert drawn(state)[1].endswith("step 4 … · 1.50 s ")
    assert "step 4" in drawn(state, 44)[1] and "batch" not in drawn(state, 44)[1]


def test_a_captured_step_is_marked_where_there_is_room():
    state = state_of(RESNET18, TAUGHT, step=4, captured=True)
    assert drawn(state)[1].endswith("step 4 · 9.8 ms captured ")
    lines = {width: drawn(state, width)[1] for width in range(40, 100)}
    assert all("step 4" in line and len(line) <= width for width, line in lines.items())
    assert "captured" not in drawn(state_of(RESNET18, TAUGHT, step=4))[1]
    assert {"captured" in line for line in lines.values()} == {False, True}


def test_a_loss_that_is_not_finite_fits():
    for loss, text in ((math.nan, "loss nan"), (math.inf, "loss inf"), (36000.0, "loss 3.6e+04")):
        assert f"   {text}  batch" in drawn(state_of(RESNET18, TAUGHT, loss=loss))[1]


# --- the feature cache --------------------------------------------------------------------------


def cached_state(**changes: object) -> RunState:
    """Return a state in which layer4 and the head train and the layers below are cached."""
    state = state_of(RESNET18, LAST_STAGE, step=40, cached_rows=7)
    fields = {"rows": 7, "cut": "layer3.1", "images": 650, "total": 650, "memory_bytes": 10_649_600}
    state.apply(FeatureCacheReported(**(fields | {"hits": 12_345} | changes)))
    return state


def test_cached_layers_are_shown_as_not_executed():
    expected = """
           layer     state    reach     1e-5 log 1e1     ‖g‖    Δw/w   role
    ▼▼▼▼▼   loss 0.431  batch 27/32                            step 40 · 9.8 ms
 ▸ ██●●●██ fc        train    updated   ━━━━━━━━     1.0e-01 5.0e-05 ─ classes
   ██●●●██ layer4.1  train    updated   ━━━━━━━━     1.0e-01 5.0e-05 ╮ objects
   ██●●●██ layer4.0  train    updated   ━━━━━━━━     1.0e-01 5.0e-05 ╯
 ━━▀▀▀▀▀▀▀━ gradient stopped here · measured in step 40 ━━━━━━━━━━━━
   ▒▒▒▒▒▒▒ layer3.1  frozen   cached                    not executed ╮ parts
   ▒▒▒▒▒▒▒ layer3.0  frozen   cached                    not executed ╯
   ▒▒▒▒▒▒▒ layer2.1  frozen   cached                    not executed ╮ patterns
   ▒▒▒▒▒▒▒ layer2.0  frozen   cached                    not executed ╯
   ▒▒▒▒▒▒▒ layer1.1  frozen   cached                    not executed ╮ textures
   ▒▒▒▒▒▒▒ layer1.0  frozen   cached                    not executed ╯
   ▒▒▒▒▒▒▒ conv1     frozen   cached                    not executed ─ edges
    ▲▲▲▲▲   images  3 × 224 × 224      cached at layer3.1: 650/650, 12,345 hits
"""
    lines = drawn(cached_state())
    assert [line.rstrip() for line in lines] == expected.strip("\n").splitlines()


def test_a_cached_layer_that_thaws_is_open():
    state = cached_state()
    first = state.session.stack.rows[6].first_owner
    state.wanted = frozenset(range(first, len(state.session.stack.owners)))
    assert line_of(state, "layer3.1")[3:10] == "██   ██"
    assert line_of(state, "layer3.0")[3:10] == "▒▒▒▒▒▒▒"
    assert "%%%%%%%" in line_of(state, "layer3.0", ASCII)


def test_the_line_with_the_images_shows_the_status_of_the_feature_cache():
    why = "augmentation light makes every image anew"
    state = cached_state(rows=0, cut="", reason=why)
    assert drawn(state, 118, wide=True)[-1].rstrip().endswith(f"not cached: {why}")
    assert drawn(state)[-1].rstrip().endswith("not cached")
    state = cached_state(memory_bytes=8_000_000, file_bytes=2_649_600)
    last = drawn(state, 118, wide=True)[-1].rstrip()
    assert last.endswith("cached at layer3.1: 650/650, 11 MB, 25% on disk")


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=5), st.sampled_from(["brick", "dot", "text"]))),
    st.integers(0, 30),
)
def test_a_split_line_has_the_same_cells(spans: list[tuple[str, str]], column: int) -> None:
    def cells(part: Line) -> list[tuple[str, str]]:
        return [(letter, style) for text, style in part for letter in text]

    left, right = split_at(tuple(spans), column)
    assert cells(left) == cells(tuple(spans))[:column]
    assert cells(right) == cells(tuple(spans))[column:]
    assert all(text for text, _ in (*left, *right))

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
from tl_tui.protocol.training import Validated
from tui.drawing.lines import Line, shorten_middle
from tui.drawing.theme import ASCII, UNICODE, Glyphs
from tui.stack.columns import columns_of
from tui.stack.stack_lines import Picture, StackLine, stack_lines
from tui.stack.table_cells import table_cells
from tui.stack.tower_cells import tower_cells
from tui.state.cursor import StackCursor, Target
from tui.state.run_state import RunState
from tui.text.format import format_rate

RESNET18, RESNET152 = resnet18_stack(), bottleneck_stack()
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


# --- the window ---------------------------------------------------------------------------------


# --- cursor and folds ---------------------------------------------------------------------------


# --- the loss line ------------------------------------------------------------------------------


# --- the feature cache --------------------------------------------------------------------------

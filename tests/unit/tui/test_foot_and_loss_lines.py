"""The lines above and below the layers: the loss, and the images with the feature cache."""

from __future__ import annotations

import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stack_messages import (
    bottleneck_stack,
    opened,
    owners_named,
    resnet18_stack,
    step_taken,
)
from tl_tui.protocol.layers import StackInfo
from tl_tui.protocol.training import FeatureCacheReported, Validated
from tui.drawing.lines import Line, split_at
from tui.drawing.theme import ASCII, UNICODE, Glyphs
from tui.stack.stack_lines import stack_lines
from tui.stack.table_cells import table_cells
from tui.stack.tower_cells import tower_cells
from tui.state.cursor import StackCursor
from tui.state.run_state import RunState

RESNET18, RESNET152 = resnet18_stack(), bottleneck_stack()


LAST_STAGE = owners_named(RESNET18, "fc", "layer4.0", "layer4.1")


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


def line_of(state: RunState, name: str, glyphs: Glyphs = UNICODE) -> str:
    """Return the only line that begins with a layer's name."""
    (line,) = [line for line in drawn(state, glyphs=glyphs) if line[11:].startswith(name + " ")]
    return line


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


def cached_state(**changes: object) -> RunState:
    """Return a state in which layer4 and the head train and the layers below are cached."""
    state = state_of(RESNET18, LAST_STAGE, step=40, cached_rows=7)
    fields = {"rows": 7, "cut": "layer3.1", "images": 650, "total": 650, "memory_bytes": 10_649_600}
    fields |= {"step": 40}
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


def test_a_cache_report_of_an_earlier_step_names_it():
    last = drawn(cached_state(step=30))[-1].rstrip()
    assert last.endswith("cached at layer3.1: 650/650 at step 30") or last.endswith(
        "cached 650/650, 12,345 hits at step 30"
    )


def test_chance_and_majority_have_their_names():
    session = opened(RESNET18, classes=("a", "b", "c", "d"), yardstick_majority=22, majority=30)
    state = RunState()
    state.apply(session)
    state.apply(step_taken(RESNET18, TAUGHT, step=12))
    state.apply(Validated(start=0, step=12, correct=52, total=64, loss=0.5, yardstick=True))
    assert "val 52/64 (chance 16, majority 22)" in drawn(state, 118, wide=True)[1]
    assert "val 52/64 (majority 22)" in drawn(state)[1]
    state.apply(Validated(start=0, step=12, correct=71, total=80, loss=0.5, yardstick=False))
    assert "val 71/80 (chance 20, majority 30)" in drawn(state, 118, wide=True)[1]


def test_a_validation_of_earlier_weights_names_its_step():
    state = state_of(RESNET18, TAUGHT, step=12)
    state.apply(Validated(start=0, step=12, correct=52, total=64, loss=0.5, yardstick=True))
    state.apply(step_taken(RESNET18, TAUGHT, step=13))
    assert "val 52/64 at step 12" in drawn(state)[1] and "step 13 ·" in drawn(state)[1]


def test_rows_of_an_earlier_step_name_it_in_the_heading():
    state = state_of(RESNET18, TAUGHT, step=11)
    state.apply(msgspec.structs.replace(step_taken(RESNET18, TAUGHT, step=15), rows=(), owners=()))
    assert "measured in step 11" in drawn(state)[0] and "step 15" in drawn(state)[1]
    assert "log" not in drawn(state)[0]
    for width in range(40, 120):
        heading = drawn(state, width, wide=width >= 100)[0]
        assert "11" in heading and len(heading.rstrip()) <= width


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

"""The replay: order, timing, brightness and reach come only from the measured step."""

from __future__ import annotations

import pytest

from tests.support.stack_messages import (
    bottleneck_stack,
    measured,
    owners_named,
    resnet18_stack,
    step_taken,
)
from tl_tui.protocol.training import StepTaken
from tui.stack.replay import LENGTH, TRAIL, Replay
from tui.state.cursor import Target, target_name
from tui.state.layer_status import GradientFlow

STACK = resnet18_stack()
MASK = owners_named(STACK, "fc", "layer4.1", "layer3.1")
REACHED = ["fc", "layer4.1", "layer4.0", "layer3.1"]


def order(step: StepTaken) -> list[str]:
    """Return the rows in the order in which they are lit."""
    times = Replay(STACK, step).times
    return [target_name(STACK, target) for target in times if target.kind == "row"]


def final_flows(step: StepTaken) -> dict[str, GradientFlow]:
    """Return the gradient flow of the rows at the replay's end."""
    lit = Replay(STACK, step).frame(LENGTH).lit
    return {target_name(STACK, row): made for row, made in lit.items() if row.kind == "row"}


def test_rows_are_lit_in_the_order_of_their_arrival():
    assert order(step_taken(STACK, MASK)) == REACHED
    turned = {"fc": 3.0, "layer4.1": 2.0, "layer4.0": 1.0, "layer3.1": 0.5}
    assert order(step_taken(STACK, MASK, arrivals=turned)) == REACHED[::-1]


def test_times_are_proportional_to_the_measured_ones():
    arrivals = {"fc": 0.0, "layer4.1": 1.0, "layer4.0": 4.0, "layer3.1": 5.0}
    replay = Replay(STACK, step_taken(STACK, MASK, arrivals=arrivals, backward_ms=10.0))
    times = {target_name(STACK, target): at for target, at in replay.times.items()}
    assert [times[name] / LENGTH for name in REACHED] == pytest.approx([0.0, 0.1, 0.4, 0.5])


def test_a_replay_has_the_same_duration_for_any_model():
    deep = bottleneck_stack()
    full = range(len(deep.owners))
    assert Replay(deep, step_taken(deep, full, backward_ms=900.0)).length == LENGTH
    assert Replay(STACK, step_taken(STACK, MASK)).length == LENGTH
    assert Replay(STACK, step_taken(STACK, MASK), slower=4).length == 4 * LENGTH


def test_the_number_of_dots_depends_on_the_norm():
    faint = final_flows(step_taken(STACK, MASK, norms={"layer3.1": 1e-4}))
    strong = final_flows(step_taken(STACK, MASK, norms={"layer3.1": 0.5}))
    assert (faint["layer3.1"].dots, strong["layer3.1"].dots) == (1, 3)
    assert faint["fc"] == strong["fc"]


def test_the_measured_reach_and_not_the_mask_decides_which_layers_are_lit():
    rows = {
        "layer4.1": measured("passed", arrival_ms=1.0),
        "layer3.1": measured("unreached"),
        "layer2.0": measured("updated", 0.2, 1e-4, arrival_ms=4.0),
    }
    seen = final_flows(step_taken(STACK, MASK, rows=rows))
    assert {name: made.kind for name, made in seen.items()} == {
        "fc": "updated",
        "layer4.1": "passed",
        "layer4.0": "passed",
        "layer2.0": "updated",
    }


def test_a_layer_without_a_time_is_not_lit_and_equal_times_keep_the_order():
    some = measured("updated", 0.2, 1e-4, arrival_ms=None)
    assert order(step_taken(STACK, MASK, rows={"layer4.1": some})) == [
        name for name in REACHED if name != "layer4.1"
    ]
    at_once = step_taken(STACK, MASK, arrivals=dict.fromkeys(REACHED, 0.0))
    assert order(at_once) == REACHED
    times = [at for target, at in Replay(STACK, at_once).times.items() if target.kind == "row"]
    assert times == sorted(set(times)), "one after the other, though all times are equal"


def test_nothing_is_lit_in_a_frozen_stack():
    replay = Replay(STACK, step_taken(STACK, ()))
    assert replay.times == {} and replay.frame(LENGTH).lit == {}


def test_the_pulse_moves_and_leaves_a_trail():
    replay = Replay(STACK, step_taken(STACK, range(len(STACK.owners))))
    rows = [target for target in replay.times if target.kind == "row"]
    before: set[Target] = set()
    for number, row in enumerate(rows):
        lit = replay.frame(replay.times[row]).lit
        assert before < set(lit)
        glows = [lit[other].glow for other in rows[: number + 1]]
        assert glows[-1] == "head"
        assert glows[-1 - TRAIL : -1] == ["trail"] * min(TRAIL, number)
        assert set(glows[: -1 - TRAIL]) <= {"faint"}
        before = set(lit)


def test_a_brick_is_open_until_the_pulse_arrives_and_closed_if_it_never_does():
    frame = Replay(STACK, step_taken(STACK, MASK)).frame(0.0)
    assert frame.flow(Target("row", 6), GradientFlow("updated", 3)) == GradientFlow("open")
    assert frame.flow(Target("row", 0), GradientFlow("closed")) == GradientFlow("closed")


def test_a_flash_lights_all_reached_layers_at_once():
    lit = Replay(STACK, step_taken(STACK, MASK)).flash().lit
    assert {target_name(STACK, row) for row in lit if row.kind == "row"} == set(REACHED)
    assert {made.glow for made in lit.values()} == {"head"}


@pytest.mark.parametrize(
    ("backward_ms", "slower", "label"),
    [
        (5.1, 1, "replay ×235 slower than it ran"),
        (5.1, 4, "replay ×941 slower than it ran"),
        (400.0, 1, "replay ×3.0 slower than it ran"),
        (2400.0, 1, "replay ×2.0 faster than it ran"),
        (None, 1, "replay in the measured order"),
    ],
)
def test_the_label_compares_with_the_measured_speed(backward_ms, slower, label):
    assert Replay(STACK, step_taken(STACK, MASK, backward_ms=backward_ms), slower).label() == label

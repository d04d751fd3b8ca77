"""The caption: what was measured and what comes next, in two lines for any model."""

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
from tui.state.run_state import RunState
from tui.text.caption import caption, caption_of

RESNET18, RESNET152 = resnet18_stack(), bottleneck_stack()


def caption_after(
    mask, wanted=None, *, stack: StackInfo = RESNET18, width: int = 78, **step
) -> str:
    """Return the caption after one step with a mask, and perhaps another wanted mask."""
    state = RunState()
    state.apply(opened(stack, mask))
    state.apply(step_taken(stack, mask, **step))
    if wanted is not None:
        state.wanted = frozenset(wanted)
    lines = caption(state, width)
    assert len(lines) <= 2 and all(len(line) <= width for line in lines)
    return " ".join(lines)


def owners(*names: str) -> tuple[int, ...]:
    return owners_named(RESNET18, *names)


def test_before_the_first_step_it_suggests_a_step():
    state = RunState()
    assert caption(state, 80) == []
    state.apply(opened(RESNET18))
    assert caption(state, 80) == [
        "Press t: green layers learn, blue ones stay as they are. r runs on."
    ]
    state.wanted = frozenset()
    assert caption(state, 80)[0].startswith("All layers are frozen: nothing is left to train.")


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (
            ("fc", "layer4.1", "layer3.1"),
            "Step 12 taught fc, layer4.1 and layer3.1. The gradient passed through layer4.0, which "
            "is frozen, without changing it, and stopped below layer3.1.",
        ),
        (
            ("fc",),
            "Step 12 taught fc. The gradient stopped below fc: conv1 to layer4 stayed as they "
            "were.",
        ),
        (
            ("fc", "layer2"),
            "Step 12 taught fc and layer2. The gradient passed through layer4 and layer3, which "
            "are frozen, without changing them, and stopped below layer2.0.",
        ),
        (
            ("fc", "layer4.1.conv1", "layer4.1.conv2", "layer3.1"),
            "Step 12 taught fc, layer3.1 and the two convolutions of layer4.1. Its frozen "
            "BatchNorms and layer4.0 passed the gradient on; it stopped below layer3.1.",
        ),
        (
            ("conv1", "layer1", "layer2", "layer3", "layer4", "fc"),
            "Step 12 taught all 10 layers. The gradient went all the way down.",
        ),
    ],
)
def test_what_a_step_did(names, sentence):
    assert caption_after(owners(*names), step=12) == sentence
    assert caption_of(RESNET18, step_taken(RESNET18, owners(*names), step=12)) == sentence


def test_it_follows_the_measured_reach_against_the_mask():
    mask = owners("fc", "layer4.1", "layer3.1")
    rows = {
        "layer4.1": measured("passed", arrival_ms=1.0),
        "layer3.1": measured("passed", arrival_ms=2.0),
        "layer3.0": measured("updated", 0.1, 1e-4, arrival_ms=3.0),
    }
    sentence = caption_after(mask, rows=rows)
    assert "taught fc and layer3.0" in sentence
    assert "through layer4 and layer3.1" in sentence
    assert "stopped below layer3.0" in sentence


def test_with_everything_frozen_nothing_is_left_to_train():
    assert caption_after(()) == (
        "Step 1 computed the loss and changed nothing: all layers are frozen, so no gradient flows "
        "and nothing is left to train."
    )


@pytest.mark.parametrize(
    ("before", "after", "end"),
    [
        (("fc",), ("fc", "layer4.1"), "You thawed layer4.1: at the next step the gradient goes one "
         "layer deeper."),
        (("fc", "layer4"), ("fc",), "You froze layer4: the next gradient stops two layers higher, "
         "below fc."),
        (("fc",), (), "You froze fc: at the next step nothing is left to train."),
        (("fc",), ("fc", "conv1"), "You thawed conv1: at the next step the gradient goes all the "
         "way down."),
        (("fc", "layer3.1"), ("fc", "layer3.1", "layer4.0"), "You thawed layer4.0: it learns from "
         "the next step on."),
        (("fc", "layer3.1"), ("layer3.1",), "You froze fc: the next gradient stops where this one "
         "did."),
    ],
)  # fmt: skip
def test_what_the_next_step_will_do(before, after, end):
    wanted = owners(*after) if after else ()
    assert caption_after(owners(*before), wanted).endswith(end)


def test_not_finite_names_the_first_layer_in_the_order_of_arrival():
    broken = {
        "layer3.0": measured("updated", math.nan, math.nan, 2.0, 12),
        "layer4.0": measured("updated", math.nan, math.nan, 1.0, 3),
    }
    sentence = caption_after(range(len(RESNET18.owners)), rows=broken, step=5)
    assert sentence.startswith(
        "Step 5 is not finite: the gradient turned nan first in layer4.0, then in one more layer."
    )
    assert sentence.endswith("0 starts over.")
    infinite = {"fc": measured("updated", math.inf, math.inf, 0.1, 1)}
    assert "turned infinite first in fc" in caption_after(owners("fc"), rows=infinite)
    assert "the loss is nan" in caption_after(owners("fc"), loss=math.nan)
    assert "0 starts over" not in caption_of(
        RESNET18, step_taken(RESNET18, owners("fc"), rows=infinite)
    )


def test_problems_are_named():
    unreached = {"layer2.0": measured("unreached"), "layer2.1": measured("unreached")}
    assert caption_after(owners("fc", "layer2"), rows=unreached).startswith(
        "layer2 is trainable but received no gradient: the graph does not connect it with the loss."
    )
    vanished = {"conv1": measured("updated", 3e-12, 0.0, 4.0)}
    assert caption_after(range(len(RESNET18.owners)), rows=vanished).startswith(
        "In conv1 the gradient has vanished (3e-12): nothing is learnt there."
    )
    at_rest = {"fc": measured("updated", 0.3, 0.0, 0.1)}
    assert caption_after(owners("fc"), rows=at_rest).startswith(
        "fc received a gradient and did not move."
    )


def test_a_step_that_was_not_measured():
    step = step_taken(RESNET18, owners("fc"), step=7)
    bare = type(step)(
        start=0, step=7, epoch=1, loss=0.4, correct=1, batch=2, seconds=0.1, mask=step.mask
    )
    assert caption_of(RESNET18, bare) == "Step 7 was not measured."


@settings(deadline=None)
@given(data=st.data(), width=st.integers(40, 120))
def test_it_always_fits_into_two_lines(data, width):
    stack = data.draw(st.sampled_from([RESNET18, RESNET152]))
    masks = st.sets(st.integers(0, len(stack.owners) - 1))
    sentence = caption_after(data.draw(masks), data.draw(masks), stack=stack, width=width)
    assert sentence.startswith("Step 1")


@settings(deadline=None)
@given(mask=st.sets(st.integers(0, len(RESNET152.owners) - 1)))
def test_at_80_columns_nothing_is_cut_off(mask):
    assert "…" not in caption_after(mask, (), stack=RESNET152, width=78)

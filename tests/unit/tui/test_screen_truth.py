"""Every number on the screen belongs to the step shown with it, and no sentence is untrue.

A simulated engine goes through random sequences of events. All numbers of a step consist of its
code (see `simulated_training`), so that this test reads the drawn text, finds the step of every
number by its digits, and compares it with the step that the screen names. Sentences are compared
with what the engine did, not with the state of the screen.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.screen_truth.oracle import Reading
from tests.support.screen_truth.played_screen import ACTIONS, PlayedScreen
from tests.support.screen_truth.truth import Truth

# --- messages -----------------------------------------------------------------------------------

STILL_TRUE: dict[str, Callable[[Truth, Truth], bool]] = {
    r"from the next step on": lambda then, now: now.moment == then.moment and not now.running,
    r"recipe was changed after step": lambda then, now: True,
    r"^Paused after step|(is|are) done": lambda then, now: (
        now.moment == then.moment and not now.running
    ),
    r"r continues": lambda then, now: now.idle,
    r"until the next step": lambda then, now: now.moment == then.moment and now.undoable,
    r"^Another screen steers.*W takes over": lambda then, now: not now.in_control,
    r"^This screen steers": lambda then, now: now.in_control,
    r"^Another screen watches": lambda then, now: now.clients > 1,
    r"(other screen|other screens) is gone": lambda then, now: now.clients == then.clients,
    r"^Training runs; pause it": lambda then, now: now.running,
    r"^Audit after step": lambda then, now: now.run == then.run,
}
"""What has to hold as long as a message is on the screen: of the time when it was made, and now."""


def check_message(played: PlayedScreen) -> None:
    message, now = played.message, played.run.known
    if not message:
        return
    holds = [test for pattern, test in STILL_TRUE.items() if re.search(pattern, message)]
    assert holds, f"this test does not know when it is true: {message}"
    then = played.began[message]
    assert then.run == now.run, message
    assert all(test(then, now) for test in holds), message
    if audit := re.match(r"Audit after step (\d+)", message):
        assert int(audit[1]) in played.run.audited
    if paused := re.match(r"Paused after step (\d+)", message):
        assert int(paused[1]) == now.step


# --- the tests ----------------------------------------------------------------------------------


def play(actions: list[tuple[str, int]]) -> PlayedScreen:
    """Play a sequence of actions, and read the screen after each."""
    played = PlayedScreen()
    for number, (action, argument) in enumerate([("", 0), *actions]):
        if action:
            played.do(action, argument)
        check_message(played)
        # One size after each action: the other one after the next.
        for reader in played.readers if number == len(actions) else [played.readers[number % 2]]:
            Reading(played.run, reader.read(played.state)).check()
    return played


SEQUENCES = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(1, 9)), max_size=30)


@settings(deadline=None, max_examples=60)
@given(actions=SEQUENCES)
def test_every_number_is_of_the_step_shown_and_no_sentence_is_untrue(actions):
    play(actions)


@pytest.mark.thorough
@settings(deadline=None, max_examples=1000)
@given(actions=SEQUENCES)
def test_the_same_for_many_sequences(actions):
    play(actions)


@pytest.mark.parametrize(
    "actions",
    [
        ["run", "train on 2", "drift", "train on 2", "pause", "drift"],
        ["run", "train on 6", "pause", "t", "resume", "run", "train"],
        ["run", "train", "lose control", "pause", "take over"],
        ["folds", "cut", "reconnect", "t"],
        ["run", "train on 8", "results", "run", "train", "another run"],
        ["t", "yardstick", "t", "start over", "t", "undo start over"],
        ["t", "start over", "cut", "reconnect", "undo start over", "t"],
        ["run", "train on 2", "cost", "lose control", "toggle 3", "other mask 2", "train on 2"],
        ["lose control", "alone", "folds", "busy", "fold", "fold", "t"],
        ["recipe", "t", "audit", "t", "resume", "t"],
    ],
    ids=[
        "a run",
        "a resumed run",
        "paused by another screen",
        "folds unseen",
        "the end",
        "undo",
        "undo unseen",
        "two screens",
        "folds",
        "notices",
    ],
)
def test_usual_sequences(actions):
    split = [re.fullmatch(r"(.*?) ?(\d*)", action).groups() for action in actions]
    play([(action, int(number or 1)) for action, number in split])


def test_it_reads_what_it_is_meant_to_read():
    """The patterns of this test match the screen, so that it cannot pass by seeing nothing."""
    played = play([("t", 1), ("yardstick", 1), ("drift", 1), ("cost", 1), ("run", 1), ("train", 1)])
    text = played.readers[1].read(played.state)
    assert "measured in step 1" in text.heading and "val 11/150 @1" in text.loss
    inspector = "\n".join(text.inspector)
    assert re.search(r"‖g‖ +1\.1e-02 +step 1", inspector)
    assert re.search(r"moved +0\.11 % +at step 1", inspector)
    assert re.search(r"step 2 took 12\.0 ms", text.cost)
    assert "11 of 150 at step 1 means" in text.run
    assert re.search(r"step 1 +11/150", text.curves)


def test_a_screen_that_joins_a_cross_validation_gets_its_results():
    played = PlayedScreen()
    results = played.state.results
    for action in ("folds", "fold", "cut", "reconnect"):
        played.do(action, 1)
    assert [fold.fold for fold in results.folds] == [1] and results.fold.fold == 2
    for action in ("fold", "cut", "reconnect"):
        played.do(action, 1)
    assert [fold.fold for fold in results.folds] == [1, 2]
    assert results.folds_ended is not None and results.fold is None

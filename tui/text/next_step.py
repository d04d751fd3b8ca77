"""The caption's outlook: what the next step will do, what the plan will, what is offered."""

from __future__ import annotations

from tl_tui.protocol.training import StepTaken
from tui.state.run_state import RunState
from tui.text.fit_sentences import Clause
from tui.text.layer_names import count, listed, names_of
from tui.text.progress import cycle_offer, factor_words


def next_step_clauses(state: RunState, step: StepTaken) -> list[Clause]:
    """What is to come after a measured step; empty if the next does as it did, without a plan.

    Args:
        state: What is known. There must be a stack.
        step: The last measured step.
    """
    if frozenset(step.mask) == state.wanted:
        return plan_clauses(state)
    if state.applied == state.wanted and state.step > step.step:
        return [_unmeasured(state, step)]
    clauses = [_coming(state, step)]
    if state.wanted - frozenset(step.mask) and not state.planned_why and cycle_offer(state):
        clauses.append(_offer(state))
    return clauses


def _coming(state: RunState, step: StepTaken) -> Clause:
    session = state.session
    assert session is not None
    stack = session.stack
    applied = frozenset(step.mask)
    thawed, frozen = state.wanted - applied, applied - state.wanted
    forms: list[str] = []
    after = _next(state, thawed)
    who = "You"
    if state.planned_why:
        plan = state.training.plan
        who = f"The plan {plan.name}" if plan else "The engine"
    for limit in (3, 2, 1):
        did = []
        if thawed:
            did.append(f"thawed {names_of(stack, thawed, limit).text}")
        if frozen:
            did.append(f"froze {names_of(stack, frozen, limit).text}")
        forms += [f"{who} {listed(did)}: {said}" for said in after]
    return Clause((*forms, _next_alone(state)), weight=2)


def _unmeasured(state: RunState, step: StepTaken) -> Clause:
    """Steps were taken with what is wanted, and none of them was measured yet."""
    assert state.session is not None
    stack = state.session.stack
    thawed = state.wanted - frozenset(step.mask)
    forms = [
        f"Since then {names_of(stack, thawed, limit).text} "
        f"{'train' if names_of(stack, thawed, limit).plural else 'trains'} too, not measured yet."
        for limit in ((3, 1) if thawed else ())
    ]
    return Clause((*forms, f"Step {state.step} ran with another mask, not measured yet.", ""))


def plan_clauses(state: RunState) -> list[Clause]:
    """What the plan will thaw next, and when."""
    plan, coming = state.training.plan, state.training.next_phase(state.step)
    if plan is None or coming is None or state.session is None:
        return []
    thawed = frozenset(coming.trainable) - state.wanted
    if not thawed:
        return []
    epoch = state.training.epoch_of(coming.after_step)
    names = names_of(state.session.stack, thawed, 2).text
    forms = (
        f"The plan {plan.name} thaws {names} in epoch {epoch}.",
        f"Epoch {epoch} thaws {names_of(state.session.stack, thawed, 1).text}.",
        "",
    )
    return [Clause(forms, weight=2)]


def _offer(state: RunState) -> Clause:
    """What is thawed late in a schedule hardly learns: a new cycle is offered."""
    stands = (
        "at its floor"
        if state.training.over(state.step)
        else (f"at {factor_words(state.training.factor(state.step))} of the rates")
    )
    return Clause(
        (f"The schedule is {stands}: c begins a new cycle.", "c begins a new cycle."), weight=3
    )


def _next(state: RunState, thawed: frozenset[int]) -> tuple[str, ...]:
    """What the next step will do, as the end of a sentence; the longer form first."""
    assert state.session is not None
    rows = state.session.stack.rows
    will = state.lowest_reached(predicted=True)
    was = state.lowest_reached(predicted=False)
    if will is None:
        return ("at the next step nothing is left to train.", "nothing is left to train.")
    if was == will and thawed:
        one = len({_row(state, owner) for owner in thawed}) == 1
        return (f"{'it learns' if one else 'they learn'} from the next step on.",)
    if was == will:
        return ("the next gradient stops where this one did.",)
    if will == 0:
        return ("at the next step the gradient goes all the way down.", "next it goes all the way.")
    if was is None:
        return (f"at the next step the gradient stops below {rows[will].name}.",)
    layers = count(abs(was - will), "layer")
    if will < was:
        deeper = f"goes {layers} deeper."
        return (f"at the next step the gradient {deeper}", f"next it {deeper}")
    return (
        f"the next gradient stops {layers} higher, below {rows[will].name}.",
        f"next it stops {layers} higher.",
    )


def _next_alone(state: RunState) -> str:
    """What the next step will do, as a sentence of its own."""
    assert state.session is not None
    will = state.lowest_reached(predicted=True)
    if will is None:
        return "Next: nothing is left to train."
    if will == 0:
        return "Next: the gradient goes all the way down."
    return f"Next: the gradient stops below {state.session.stack.rows[will].name}."


def _row(state: RunState, owner: int) -> int:
    assert state.session is not None
    return state.session.stack.owners[owner].row

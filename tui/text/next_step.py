"""What the next step and the plan will do, for the caption."""

from __future__ import annotations

from tl_tui.protocol.training import StepTaken
from tui.state.mask_undo import Mask
from tui.state.run_state import RunState
from tui.text.fit_sentences import Clause
from tui.text.layer_names import count, listed, names_of
from tui.text.progress import cycle_offer, factor_text


def next_step_clauses(state: RunState, step: StepTaken) -> list[Clause]:
    """Return what comes after a measured step; empty if the next step does the same.

    Args:
        state: The state of the run. There must be a stack.
        step: The last measured step.
    """
    if frozenset(step.mask) == state.wanted:
        return plan_clauses(state)
    applied = frozenset(step.mask) if state.applied is None else state.applied
    if applied == state.wanted:
        return [_unmeasured_clause(state, step)]
    clauses = [_mask_change_clause(state, applied)]
    offered = state.chosen_by == "you" and state.steers and cycle_offer(state)
    if state.wanted - applied and offered:
        clauses.append(_new_cycle_clause(state))
    return clauses


def _mask_change_clause(state: RunState, applied: Mask) -> Clause:
    """Say how the wanted mask differs from the one of the last step, and what follows."""
    session = state.session
    assert session is not None
    stack = session.stack
    thawed, frozen = state.wanted - applied, applied - state.wanted
    forms: list[str] = []
    compared = applied == state.measured_mask
    predictions = _predictions(state, thawed) if compared else (_prediction(state),)
    plan = state.training.plan
    engine = f"The plan {plan.name}" if plan else "The engine"
    who = {"you": "You ", "engine": f"{engine} ", "another screen": "Another screen "}
    subject = who.get(state.chosen_by, "")
    for limit in (3, 2, 1):
        changes = []
        for owners, did, done in ((thawed, "thawed", "thawed"), (frozen, "froze", "frozen")):
            names = names_of(stack, owners, limit) if owners else None
            if names is not None and subject:
                changes.append(f"{did} {names.text}")
            elif names is not None:
                changes.append(f"{names.text} {'are' if names.plural else 'is'} {done}")
        forms += [f"{subject}{listed(changes)}: {prediction}" for prediction in predictions]
    return Clause((*forms, _next_alone(state)), weight=2)


def _unmeasured_clause(state: RunState, step: StepTaken) -> Clause:
    """Say that steps used the wanted mask and none of them was measured yet."""
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
    """Return what the plan will thaw next, and in which epoch."""
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


def _new_cycle_clause(state: RunState) -> Clause:
    """Suggest a new cycle: a layer that is thawed late in a schedule hardly learns."""
    position = (
        "at its floor"
        if state.training.over(state.step)
        else (f"at {factor_text(state.training.factor(state.step))} of the rates")
    )
    return Clause(
        (f"The schedule is {position}: c begins a new cycle.", "c begins a new cycle."), weight=3
    )


def _predictions(state: RunState, thawed: frozenset[int]) -> tuple[str, ...]:
    """Return what the next step will do, as the end of a sentence; the longest form first."""
    assert state.session is not None
    rows = state.session.stack.rows
    will = state.lowest_reached(predicted=True)
    before = state.lowest_reached(predicted=False)
    if will is None:
        return ("at the next step nothing is left to train.", "nothing is left to train.")
    if before == will and thawed:
        single = len({_row(state, owner) for owner in thawed}) == 1
        return (f"{'it learns' if single else 'they learn'} from the next step on.",)
    if before == will:
        return ("the next gradient stops where this one did.",)
    if will == 0:
        return ("at the next step the gradient goes all the way down.", "next it goes all the way.")
    if before is None:
        return (f"at the next step the gradient stops below {rows[will].name}.",)
    layers = count(abs(before - will), "layer")
    if will < before:
        deeper = f"goes {layers} deeper."
        return (f"at the next step the gradient {deeper}", f"next it {deeper}")
    return (
        f"the next gradient stops {layers} higher, below {rows[will].name}.",
        f"next it stops {layers} higher.",
    )


def _prediction(state: RunState) -> str:
    """Return what the next step will do, without a comparison, as the end of a sentence."""
    assert state.session is not None
    will = state.lowest_reached(predicted=True)
    if will is None:
        return "at the next step nothing is left to train."
    if will == 0:
        return "at the next step the gradient goes all the way down."
    return f"at the next step the gradient stops below {state.session.stack.rows[will].name}."


def _next_alone(state: RunState) -> str:
    """Return what the next step will do, as a separate sentence."""
    return f"Next: {_prediction(state).removeprefix('at the next step ')}"


def _row(state: RunState, owner: int) -> int:
    assert state.session is not None
    return state.session.stack.owners[owner].row

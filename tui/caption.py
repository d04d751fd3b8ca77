"""The caption: in words what the last measured step did, and what the next one will do.

What a step did is said from its measured reach, never from the mask; the mask only tells a layer
that should have been reached and was not. What the next one will do is the prediction.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from engine.protocol import StackInfo, StepTaken

from .bricks import channel_of
from .layer_names import count, listed, names_of, row_of_its
from .progress import cycle_offer, factor_words
from .state import RunState
from .table_spans import number
from .theme import UNICODE

LINES = 2

FINDING = 12
"""The weight of what is out of order: it is said at length and the rest gives way."""


@dataclass(frozen=True)
class Clause:
    """One thing to say."""

    forms: tuple[str, ...]
    """From the longest to the shortest; an empty one leaves it out."""
    weight: int = 3
    """How much it costs to say it a form shorter, against the others."""


def caption(state: RunState, width: int) -> list[str]:
    """The caption in at most two lines of this width.

    Args:
        state: What is known.
        width: Cells; from about 40 on whole sentences fit.
    """
    session, step = state.session, state.measured
    if session is None:
        return []
    if step is None:
        if not state.wanted:
            frozen = Clause(("All layers are frozen: nothing is left to train.",))
            space = "Press space to thaw a layer."
            press = ("Press t for the loss alone, or space to thaw a layer.", space, "")
            return _fit([frozen, Clause(press)], width)
        invitation = "Press t: green layers learn, blue ones stay as they are. r runs on."
        short = "Press t: green layers learn, blue ones stay as they are."
        invited = Clause((invitation, short, "Press t for a step."))
        return _fit([invited, *_planned(state)], width)
    clauses = _happened(session.stack, step)
    if frozenset(step.mask) != state.wanted:
        clauses.append(_coming(state, step))
        thawed = state.pending and state.wanted - frozenset(step.mask)
        if thawed and not state.planned_why and cycle_offer(state):
            clauses.append(_offer(state))
    elif _broken(step):
        clauses.append(Clause(("0 starts over.", ""), FINDING))
    else:
        clauses += _planned(state)
    return _fit(clauses, width)


def caption_of(stack: StackInfo, step: StepTaken) -> str:
    """What one step did, in words, for a log: the caption without what is wished for next."""
    if not step.rows:
        return f"Step {step.step} was not measured."
    return " ".join(_fit(_happened(stack, step), 80))


# --- what happened ------------------------------------------------------------------------------


def _happened(stack: StackInfo, step: StepTaken) -> list[Clause]:
    mask = frozenset(step.mask)
    kinds = [
        channel_of(measurement, trainable=owner in mask).kind
        for owner, measurement in enumerate(step.owners)
    ]
    # A part may well be too small to move in one step; it is news if a whole layer does not.
    resting = {
        owner
        for owner, kind in enumerate(kinds)
        if kind == "updated" and step.rows[stack.owners[owner].row].update_ratio == 0
    }
    learnt = {owner for owner, kind in enumerate(kinds) if kind == "updated"} - resting
    passed = {owner for owner, kind in enumerate(kinds) if kind == "passed"}
    cut_off = {owner for owner, kind in enumerate(kinds) if kind == "cut off"}
    vanished = {owner for owner, kind in enumerate(kinds) if kind == "vanished"}

    clauses: list[Clause] = []
    if _broken(step):
        clauses.append(_not_finite(stack, step))
    if cut_off:
        clauses.append(_cut_off(stack, cut_off))
    if vanished:
        largest = max(step.owners[owner].grad_norm or 0.0 for owner in vanished)
        clauses.append(_vanished(stack, vanished, largest))
    if resting:
        still = (names_of(stack, resting, limit).text for limit in (3, 1))
        forms = tuple(f"{_capital(names)} received a gradient and did not move." for names in still)
        clauses.append(Clause(forms, FINDING))
    # Two lines hold no more than two findings; the bricks show all of them.
    del clauses[2:]
    reached = [row for row, seen in enumerate(step.rows) if seen.reach != "unreached"]
    if learnt:
        clauses.append(_taught(stack, step, learnt))
    elif not reached and not mask:
        clauses.append(
            Clause(
                (
                    f"Step {step.step} computed the loss and changed nothing: all layers are "
                    "frozen, so no gradient flows and nothing is left to train.",
                    f"Step {step.step}: all layers are frozen, nothing is left to train.",
                    f"Step {step.step} changed nothing.",
                )
            )
        )
    elif not reached:
        clauses.append(Clause((f"Step {step.step}: no gradient arrived anywhere.",)))
    elif not _broken(step):
        clauses.append(Clause((f"Step {step.step} taught nothing.",)))
    if reached:
        partly = row_of_its(stack, learnt)
        its = partly[0] if len(partly) == 1 else None
        clauses.append(_went(stack, reached[0], passed, its))
    return clauses


def _cut_off(stack: StackInfo, owners: set[int]) -> Clause:
    forms: list[str] = []
    for limit in (3, 1):
        names = names_of(stack, owners, limit)
        are = "are" if names.plural else "is"
        said = f"{_capital(names.text)} {are} trainable but received no gradient"
        forms += [f"{said}: the graph is cut above, by a detach or a no_grad.", f"{said}."]
    return Clause(tuple(forms), FINDING)


def _vanished(stack: StackInfo, owners: set[int], largest: float) -> Clause:
    forms: list[str] = []
    for limit in (3, 1):
        said = f"In {names_of(stack, owners, limit).text} the gradient has vanished"
        said += f" ({number(largest, UNICODE)})"
        forms += [f"{said}: nothing is learnt there.", f"{said}."]
    return Clause(tuple(forms), FINDING)


def _taught(stack: StackInfo, step: StepTaken, learnt: set[int]) -> Clause:
    said = (names_of(stack, learnt, limit).text for limit in (4, 3, 2, 1))
    return Clause(tuple(f"Step {step.step} taught {names}." for names in said))


def _went(stack: StackInfo, lowest: int, passed: set[int], its: int | None) -> Clause:
    """Through what the gradient passed, and where it stopped."""
    name = stack.rows[lowest].name
    down = lowest == 0
    stopped = "went on all the way down" if down else f"stopped below {name}"
    forms: list[str] = []
    for limit in (3, 2, 1) if passed else ():
        names = names_of(stack, passed, limit, its=its)
        are, they, them = ("are", "they were", "them") if names.plural else ("is", "it was", "it")
        if its is None:
            forms.append(
                f"The gradient passed through {names.text}, which {are} frozen, without changing "
                f"{them}, and {stopped}."
            )
        said = f"{_capital(names.text)} passed the gradient on"
        forms += [f"{said} and stayed as {they}; it {stopped}.", f"{said}; it {stopped}."]
    if not passed and not down:
        rest = names_of(stack, range(stack.rows[lowest].first_owner), 2)
        stayed = f"{rest.text} stayed as {'they were' if rest.plural else 'it was'}"
        forms.append(f"The gradient stopped below {name}: {stayed}.")
    if down:
        forms += ["The gradient went all the way down.", ""]
    else:
        forms += [f"The gradient stopped below {name}.", f"It stopped below {name}.", ""]
    return Clause(tuple(forms), weight=1)


def _broken(step: StepTaken) -> bool:
    return not math.isfinite(step.loss) or any(
        channel_of(row, trainable=True).kind == "nonfinite" for row in step.rows
    )


def _not_finite(stack: StackInfo, step: StepTaken) -> Clause:
    """The first layer in the order of arrival, which is the nearest to the loss."""
    rows = [
        row
        for row, seen in enumerate(step.rows)
        if channel_of(seen, trainable=True).kind == "nonfinite"
    ]
    start = f"Step {step.step} is not finite"
    loss = "" if math.isfinite(step.loss) else f"the loss is {number(step.loss, UNICODE)}"
    if not rows:
        return Clause((f"{start}: {loss}.",))

    def arrival(row: int) -> tuple[float, int]:
        time = step.rows[row].arrival_ms
        return (math.inf if time is None else time, -row)

    first = min(rows, key=arrival)
    norm = step.rows[first].grad_norm
    what = "infinite" if norm is not None and math.isinf(norm) else "nan"
    said = listed([*([loss] if loss else []), f"the gradient turned {what} first in "])
    said += stack.rows[first].name
    others = f", then in {count(len(rows) - 1, 'more layer')}" if len(rows) > 1 else ""
    short = f"{start}: {what} first in {stack.rows[first].name}."
    return Clause((f"{start}: {said}{others}.", f"{start}: {said}.", short), FINDING)


# --- what is coming -----------------------------------------------------------------------------


def _coming(state: RunState, step: StepTaken) -> Clause:
    session = state.session
    assert session is not None
    stack = session.stack
    if state.applied == state.wanted and state.step > step.step:
        return _unmeasured(state, step)
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


def _planned(state: RunState) -> list[Clause]:
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


# --- fitting ------------------------------------------------------------------------------------


def _fit(clauses: list[Clause], width: int) -> list[str]:
    """The clauses in the longest forms that fit two lines, by what it costs to shorten each."""
    return list(_fitted(tuple(clauses), width))


@lru_cache(maxsize=256)
def _fitted(clauses: tuple[Clause, ...], width: int) -> list[str]:

    def cost(choice: tuple[int, ...]) -> int:
        return sum(form * clause.weight for form, clause in zip(choice, clauses, strict=True))

    last: list[str] = []
    for choice in sorted(product(*(range(len(clause.forms)) for clause in clauses)), key=cost):
        said = (clause.forms[form] for form, clause in zip(choice, clauses, strict=True))
        text = " ".join(part for part in said if part)
        if last and len(text) > LINES * width:
            continue
        last = _wrapped(text, width)
        if len(last) <= LINES:
            return last
    # Not even the shortest forms fit: the first things said are the ones that matter most.
    for kept in range(len(clauses) - 1, 0, -1):
        said = (clause.forms[-1] for clause in clauses[:kept])
        last = _wrapped(" ".join(part for part in said if part), width)
        if len(last) <= LINES:
            return last
    shortened = textwrap.shorten(" ".join(last[LINES - 1 :]), max(2, width), placeholder="…")
    return [line[:width] for line in (*last[: LINES - 1], shortened)]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(1, width), break_on_hyphens=False)


def _capital(text: str) -> str:
    """A sentence's first letter, unless a module's name begins it."""
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if first in _WORDS else text


_WORDS = (
    "all",
    "the",
    "its",
    "parts",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
)

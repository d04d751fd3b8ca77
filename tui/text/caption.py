"""The caption: in words what the last measured step did, and what the next one will do.

What a step did is said from its measured reach, never from the mask; the mask only tells a layer
that should have been reached and was not. What the next one will do is the prediction.
"""

from __future__ import annotations

import math

from tl_tui.protocol.layers import StackInfo
from tl_tui.protocol.training import StepTaken
from tui.drawing.theme import UNICODE
from tui.state.layer_status import gradient_flow
from tui.state.run_state import RunState
from tui.text.fit_sentences import FINDING, Clause, capital, fit_sentences
from tui.text.format import number
from tui.text.layer_names import count, listed, names_of, row_of_its
from tui.text.next_step import next_step_clauses, plan_clauses


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
            return fit_sentences([frozen, Clause(press)], width)
        invitation = "Press t: green layers learn, blue ones stay as they are. r runs on."
        short = "Press t: green layers learn, blue ones stay as they are."
        invited = Clause((invitation, short, "Press t for a step."))
        return fit_sentences([invited, *plan_clauses(state)], width)
    clauses = _happened(session.stack, step)
    if frozenset(step.mask) == state.wanted and _broken(step):
        clauses.append(Clause(("0 starts over.", ""), FINDING))
    else:
        clauses += next_step_clauses(state, step)
    return fit_sentences(clauses, width)


def caption_of(stack: StackInfo, step: StepTaken) -> str:
    """What one step did, in words, for a log: the caption without what is wished for next."""
    if not step.rows:
        return f"Step {step.step} was not measured."
    return " ".join(fit_sentences(_happened(stack, step), 80))


# --- what happened ------------------------------------------------------------------------------


def _happened(stack: StackInfo, step: StepTaken) -> list[Clause]:
    mask = frozenset(step.mask)
    kinds = [
        gradient_flow(measurement, trainable=owner in mask).kind
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
        forms = tuple(f"{capital(names)} received a gradient and did not move." for names in still)
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
        clauses.append(_went(stack, reached[0], passed, its, cached=step.cached_rows > 0))
    return clauses


def _cut_off(stack: StackInfo, owners: set[int]) -> Clause:
    forms: list[str] = []
    for limit in (3, 1):
        names = names_of(stack, owners, limit)
        are = "are" if names.plural else "is"
        said = f"{capital(names.text)} {are} trainable but received no gradient"
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


def _went(
    stack: StackInfo, lowest: int, passed: set[int], its: int | None, *, cached: bool
) -> Clause:
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
        said = f"{capital(names.text)} passed the gradient on"
        forms += [f"{said} and stayed as {they}; it {stopped}.", f"{said}; it {stopped}."]
    if not passed and not down:
        rest = names_of(stack, range(stack.rows[lowest].first_owner), 2)
        they, were, their = ("they", "were", "their") if rest.plural else ("it", "was", "its")
        if cached:
            idle = f"{rest.text} {were} not executed"
            forms.append(f"The gradient stopped below {name}: {idle}, {their} output is kept.")
            forms.append(f"It stopped below {name}; {idle}.")
        stayed = f"{rest.text} stayed as {they} {were}"
        forms.append(f"The gradient stopped below {name}: {stayed}.")
    if down:
        forms += ["The gradient went all the way down.", ""]
    else:
        forms += [f"The gradient stopped below {name}.", f"It stopped below {name}.", ""]
    return Clause(tuple(forms), weight=1)


def _broken(step: StepTaken) -> bool:
    return not math.isfinite(step.loss) or any(
        gradient_flow(row, trainable=True).kind == "nonfinite" for row in step.rows
    )


def _not_finite(stack: StackInfo, step: StepTaken) -> Clause:
    """The first layer in the order of arrival, which is the nearest to the loss."""
    rows = [
        row
        for row, seen in enumerate(step.rows)
        if gradient_flow(seen, trainable=True).kind == "nonfinite"
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

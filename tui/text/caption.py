"""The caption: what the last measured step did, and what the next step will do.

What a step did is taken from its measured reach and not from its mask. The mask only serves to
find trainable layers that received no gradient. What the next step will do is a prediction.
"""

from __future__ import annotations

import math

from tl_tui.protocol.layers import StackInfo
from tl_tui.protocol.training import StepTaken
from tui.drawing.theme import UNICODE
from tui.state.layer_status import gradient_flow
from tui.state.run_state import RunState
from tui.text.fit_sentences import FINDING, Clause, fit_sentences
from tui.text.format import format_measured
from tui.text.layer_names import count, listed, names_of, partial_rows
from tui.text.next_step import next_step_clauses, plan_clauses


def caption(state: RunState, width: int) -> list[str]:
    """Return the caption in at most two lines.

    Args:
        state: The state of the run.
        width: Cells per line; whole sentences fit from about 40 on.
    """
    session, step = state.session, state.measured
    if session is None:
        return []
    if step is None:
        return fit_sentences([*_clauses_before_measurement(state), *plan_clauses(state)], width)
    clauses = _step_clauses(session.stack, step)
    if frozenset(step.mask) == state.wanted and _not_finite(step):
        if state.idle:
            clauses.append(Clause(("0 starts over.", ""), FINDING))
    else:
        clauses += next_step_clauses(state, step)
    return fit_sentences(clauses, width)


def caption_of(stack: StackInfo, step: StepTaken) -> str:
    """Return what one step did, as a line for a log."""
    if not step.rows:
        return f"Step {step.step} was not measured."
    return " ".join(fit_sentences(_step_clauses(stack, step), 80))


def _clauses_before_measurement(state: RunState) -> list[Clause]:
    """Say what the colours mean, and which key is of use now."""
    layers = "green layers learn, blue ones stay as they are"
    if state.results.fold is not None:
        forms: tuple[str, ...] = (
            "A cross-validation runs; t and r work again when it has ended.",
            "A cross-validation runs.",
        )
    elif not state.watched.in_control:
        forms = (
            f"Another screen steers this run; W takes over. In a step {layers}.",
            "Another screen steers this run; W takes over.",
        )
    elif state.running:
        forms = (
            f"Training runs: {layers}. No step is measured yet; r pauses.",
            "Training runs; no step is measured yet. r pauses.",
            "Training runs; r pauses.",
        )
    elif not state.wanted:
        return [
            Clause(("All layers are frozen: nothing is left to train.",)),
            Clause(
                (
                    "Press t for the loss alone, or space to thaw a layer.",
                    "Press space to thaw a layer.",
                    "",
                )
            ),
        ]
    else:
        forms = (
            f"Press t: {layers}. r runs on.",
            f"Press t: {layers}.",
            "Press t for a step.",
        )
    return [Clause(forms)]


# --- what the step did --------------------------------------------------------------------------


def _step_clauses(stack: StackInfo, step: StepTaken) -> list[Clause]:
    mask = frozenset(step.mask)
    kinds = [
        gradient_flow(measurement, trainable=owner in mask).kind
        for owner, measurement in enumerate(step.owners)
    ]
    # A part of a layer may be too small to change in one step; a whole layer should change.
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
    if _not_finite(step):
        clauses.append(_not_finite_clause(stack, step))
    if cut_off:
        clauses.append(_cut_off_clause(stack, cut_off))
    if vanished:
        largest = max(step.owners[owner].grad_norm or 0.0 for owner in vanished)
        clauses.append(_vanished_clause(stack, vanished, largest))
    if resting:
        names = (names_of(stack, resting, limit).capitalized for limit in (3, 1))
        forms = tuple(f"{name} received a gradient and did not move." for name in names)
        clauses.append(Clause(forms, FINDING))
    # Two lines have room for two findings; the bricks show all of them.
    del clauses[2:]
    reached = [row for row, seen in enumerate(step.rows) if seen.reach != "unreached"]
    if learnt:
        clauses.append(_learnt_clause(stack, step, learnt))
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
    elif not _not_finite(step):
        clauses.append(Clause((f"Step {step.step} taught nothing.",)))
    if reached:
        partial = partial_rows(stack, learnt)
        its = partial[0] if len(partial) == 1 else None
        cached = step.cached_rows > 0
        clauses.append(_gradient_clause(stack, reached[0], passed, its, cached=cached))
    return clauses


def _cut_off_clause(stack: StackInfo, owners: set[int]) -> Clause:
    forms: list[str] = []
    for limit in (3, 1):
        names = names_of(stack, owners, limit)
        are, them = ("are", "them") if names.plural else ("is", "it")
        finding = f"{names.capitalized} {are} trainable but received no gradient"
        forms += [f"{finding}: the graph does not connect {them} with the loss.", f"{finding}."]
    return Clause(tuple(forms), FINDING)


def _vanished_clause(stack: StackInfo, owners: set[int], largest: float) -> Clause:
    forms: list[str] = []
    for limit in (3, 1):
        finding = f"In {names_of(stack, owners, limit).text} the gradient has vanished"
        finding += f" ({format_measured(largest, UNICODE)})"
        forms += [f"{finding}: nothing is learnt there.", f"{finding}."]
    return Clause(tuple(forms), FINDING)


def _learnt_clause(stack: StackInfo, step: StepTaken, learnt: set[int]) -> Clause:
    names = (names_of(stack, learnt, limit).text for limit in (4, 3, 2, 1))
    return Clause(tuple(f"Step {step.step} taught {name}." for name in names))


def _gradient_clause(
    stack: StackInfo, lowest: int, passed: set[int], its: int | None, *, cached: bool
) -> Clause:
    """Say which layers the gradient passed through and where it stopped.

    Args:
        stack: The stack.
        lowest: The lowest row that the gradient reached.
        passed: The frozen owners that passed the gradient on.
        its: The row that the sentence before mentioned only in part.
        cached: The layers below were not executed because their output is cached.
    """
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
        subject = f"{names.capitalized} passed the gradient on"
        forms += [f"{subject} and stayed as {they}; it {stopped}.", f"{subject}; it {stopped}."]
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


def _not_finite(step: StepTaken) -> bool:
    return not math.isfinite(step.loss) or any(
        gradient_flow(row, trainable=True).kind == "nonfinite" for row in step.rows
    )


def _not_finite_clause(stack: StackInfo, step: StepTaken) -> Clause:
    """Name the first layer, in the order of arrival, whose gradient is not finite."""
    rows = [
        row
        for row, seen in enumerate(step.rows)
        if gradient_flow(seen, trainable=True).kind == "nonfinite"
    ]
    start = f"Step {step.step} is not finite"
    loss = "" if math.isfinite(step.loss) else f"the loss is {format_measured(step.loss, UNICODE)}"
    if not rows:
        return Clause((f"{start}: {loss}.",))

    def arrival(row: int) -> tuple[float, int]:
        time = step.rows[row].arrival_ms
        return (math.inf if time is None else time, -row)

    first = min(rows, key=arrival)
    norm = step.rows[first].grad_norm
    value = "infinite" if norm is not None and math.isinf(norm) else "nan"
    finding = listed([*([loss] if loss else []), f"the gradient turned {value} first in "])
    finding += stack.rows[first].name
    others = f", then in {count(len(rows) - 1, 'more layer')}" if len(rows) > 1 else ""
    short = f"{start}: {value} first in {stack.rows[first].name}."
    return Clause((f"{start}: {finding}{others}.", f"{start}: {finding}.", short), FINDING)

"""What there is to say about one layer, in words: its choice, what the last step did, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tl_tui.estimates.gradient_reach import predict_reach
from tl_tui.protocol.layers import Reach, StackInfo
from tl_tui.protocol.training import LayerMeasurement
from tui.state.cursor import Target, target_name, target_owners
from tui.state.curve import STRATEGY_KEYS
from tui.state.layer_status import target_rows
from tui.state.run_state import RunState, Trainable
from tui.text.format import format_rate
from tui.text.progress import schedule_words

VANISHED = 1e-9
"""Below this gradient norm a step with any sane learning rate rounds to nothing in fp32."""
CHOICE = {"all": "train", "none": "frozen", "partial": "part"}


@dataclass(frozen=True)
class LayerDetails:
    """The inspector's fields; texts are empty where there is nothing to say."""

    name: str
    choice: str
    """Such as `frozen by you`."""
    kind: str
    """Such as `BasicBlock 256 → 512, stride 2`."""
    params: int
    role: str
    shape: str
    wanted: str
    applied: str
    reach: str
    predicted: str
    norm_mode: str
    lr: str
    lr_remark: str
    """What the schedule makes of it, and whether it was set by hand."""
    moved: str
    """How far its weights are from where they began: `0.12 %`."""
    moved_from: str
    drift: str
    """How far running statistics have drifted, where some did."""
    weight_norm: str
    grad_norm: str
    grad_of: str
    """What the gradient norm is over, if not everything."""
    update_ratio: str
    arrival: str
    why: str


def layer_details(state: RunState, target: Target) -> LayerDetails:
    """Everything about a target. There must be a stack."""
    session = state.session
    assert session is not None
    stack = session.stack
    owners = target_owners(state, target)
    wanted = state.trainable(owners)
    applied = state.trainable(owners, state.applied) if state.applied is not None else None
    seen = _measurement(state, target)
    kind, role, shape = _description(stack, target)
    learning = [o for o in owners if o in (state.measured.mask if state.measured else ())]
    over = f"over {len(learning)} of {len(owners)} parts" if 0 < len(learning) < len(owners) else ""
    return LayerDetails(
        name=target_name(stack, target),
        choice=_choice(state, owners, wanted),
        kind=kind,
        params=sum(stack.owners[owner].params for owner in owners),
        role=role,
        shape=" × ".join(map(str, shape)),
        wanted=_of(wanted, owners, state.wanted),
        applied="" if applied is None else _of(applied, owners, state.applied or frozenset()),
        reach=seen.reach if seen else "",
        predicted=state.predicted(owners),
        norm_mode=_norm_modes(state, owners),
        lr=_lr(state, target, wanted),
        lr_remark=_lr_remark(state, target),
        moved=_moved(state, target),
        moved_from=_moved_from(state, target),
        drift=_drift(state, owners),
        weight_norm=number(seen.weight_norm) if seen and seen.weight_norm >= 0 else "",
        grad_norm=number(seen.grad_norm) if seen and seen.grad_norm is not None else "",
        grad_of=over if seen and seen.grad_norm is not None else "",
        update_ratio=number(seen.update_ratio) if seen and seen.update_ratio is not None else "",
        arrival=_arrival(state, target, seen),
        why=_why(state, target, seen, wanted),
    )


def number(value: float) -> str:
    """A norm in three or four significant characters: `26.4`, `4.7e-02`, `nan`, `0`."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    return f"{value:.3g}" if 0.1 <= abs(value) < 1000 else f"{value:.1e}"


# --- the fields ---------------------------------------------------------------------------------


def _description(stack: StackInfo, target: Target) -> tuple[str, str, tuple[int, ...]]:
    if target.kind == "stage":
        stage = stack.stages[target.index]
        count = stage.end_row - stage.first_row
        return (
            f"stage of {count} layers" if count > 1 else "stage of 1 layer",
            stage.role,
            (stage.output_shape),
        )
    if target.kind == "row":
        row = stack.rows[target.index]
        return f"{row.kind} {row.detail}".strip(), row.role, row.output_shape
    owner = stack.owners[target.index]
    row = stack.rows[owner.row]
    return f"{owner.kind} {owner.detail}".strip(), f"part of {row.name}", ()


def _measurement(state: RunState, target: Target) -> LayerMeasurement | None:
    if target.kind == "row":
        return state.measurement(target.index)
    if target.kind == "owner":
        return state.owner_measurement(target.index)
    assert state.session is not None
    stage = state.session.stack.stages[target.index]
    rows = [state.measurement(row) for row in range(stage.first_row, stage.end_row)]
    return _together([row for row in rows if row is not None])


def _together(rows: list[LayerMeasurement]) -> LayerMeasurement | None:
    """A stage's measurement from its rows': norms of disjoint parameters add as squares."""
    if not rows:
        return None
    reaches: set[Reach] = {row.reach for row in rows}
    reach: Reach = (
        "updated" if "updated" in reaches else "passed" if "passed" in reaches else "unreached"
    )
    norms = [row.grad_norm for row in rows if row.grad_norm is not None]
    arrivals = [row.arrival_ms for row in rows if row.arrival_ms is not None]
    return LayerMeasurement(
        reach=reach,
        grad_norm=_length(norms) if norms else None,
        weight_norm=_length(row.weight_norm for row in rows),
        # The ratio of several rows does not follow from theirs.
        update_ratio=None,
        nonfinite=sum(row.nonfinite for row in rows),
        arrival_ms=min(arrivals, default=None),
    )


def _length(norms: Iterable[float]) -> float:
    return math.hypot(*norms)


def _choice(state: RunState, owners: range, wanted: Trainable) -> str:
    what = {"all": "trains", "none": "frozen", "partial": "partly frozen"}[wanted]
    if state.training.plan is not None:
        return f"{what} by plan {state.training.plan.name}"
    strategy = state.strategy
    if strategy is None:
        return f"{what} by you"
    return f"{what} by {' '.join(STRATEGY_KEYS.get(strategy, (strategy,)))}"


def _of(trainable: Trainable, owners: range, mask: frozenset[int]) -> str:
    if trainable == "partial":
        return f"part {sum(owner in mask for owner in owners)}/{len(owners)}"
    return CHOICE[trainable]


def _mode(state: RunState, owner: int, mask: frozenset[int]) -> str:
    mode = state.norm_modes.get(owner, "auto")
    if mode == "auto":
        return "train" if owner in mask else "eval"
    if mode == "train" and owner not in mask:
        return "statistics only"
    return mode


def _norm_modes(state: RunState, owners: range) -> str:
    """Such as `eval`, `eval → train` (at the next step), `mixed`."""
    assert state.session is not None
    norms = [owner for owner in owners if state.session.stack.owners[owner].norm]
    if not norms:
        return ""
    masks = [state.wanted] if state.applied is None else [state.applied, state.wanted]
    words = []
    for mask in masks:
        modes = {_mode(state, owner, mask) for owner in norms}
        words.append(modes.pop() if len(modes) == 1 else "mixed")
    text = " → ".join(dict.fromkeys(words))
    by_hand = any(state.norm_modes.get(owner, "auto") != "auto" for owner in norms)
    return f"{text}, by hand" if by_hand else text


def _lr(state: RunState, target: Target, wanted: Trainable) -> str:
    """The rate it learns at, or would if it were thawed; of a stage from the least to the most."""
    assert state.session is not None
    rows = target_rows(state.session.stack, target)
    if wanted == "none" and not any(state.training.by_hand(row) for row in rows):
        return ""
    factor = state.training.factor(state.step)
    rates = sorted({state.training.rates[row] * factor for row in rows})
    return " to ".join(format_rate(rate) for rate in dict.fromkeys((rates[0], rates[-1])))


def _lr_remark(state: RunState, target: Target) -> str:
    assert state.session is not None
    rows = target_rows(state.session.stack, target)
    by_hand = "by hand" if any(state.training.by_hand(row) for row in rows) else ""
    where = schedule_words(state)
    if by_hand and where.startswith("×"):
        where = " ".join(where.split()[:2])  # by hand × .50
    return " ".join(text for text in (by_hand, where) if text)


def _moved(state: RunState, target: Target) -> str:
    """Such as `0.12 %`; of a stage the furthest of its rows."""
    assert state.session is not None
    if state.results.moved is None:
        return ""
    rows = target_rows(state.session.stack, target)
    share = max(100 * state.results.moved.rows[row] for row in rows)
    if not math.isfinite(share):
        return number(share)
    if 0 < share < 0.01:
        return "<0.01 %"
    return f"{share:.2f} %" if share < 100 else f"{share:,.0f} %"


def _moved_from(state: RunState, target: Target) -> str:
    """What `moved` is measured from: a new head, and random weights, have no pretrained ones."""
    session = state.session
    assert session is not None
    rows = target_rows(session.stack, target)
    pretrained = session.pretrained and state.training.weights == session.weights
    first = "from its start"
    return "from pretrained" if pretrained and not session.stack.rows[rows[-1]].head else first


def _drift(state: RunState, owners: range) -> str:
    """Where a BatchNorm's running statistics have followed the new images though it is frozen."""
    found = state.results.moved
    drifted = [
        amount
        for owner, amount in (found.running_mean_drift.items() if found else ())
        if owner in owners
        and owner not in state.wanted
        and state.norm_modes.get(owner) == "train"  # else it moved while it was trainable
        and amount > 0
    ]
    return f"BatchNorm drifted by {max(drifted):.2f} σ, though frozen" if drifted else ""


def _arrival(state: RunState, target: Target, seen: LayerMeasurement | None) -> str:
    if seen is None or seen.arrival_ms is None or state.measured is None:
        return ""
    if target.kind == "stage":
        return f"{seen.arrival_ms:.3g} ms"
    all_seen = state.measured.rows if target.kind == "row" else state.measured.owners
    times = [one.arrival_ms for one in all_seen if one.arrival_ms is not None]
    place = sum(time < seen.arrival_ms for time in times) + 1
    return f"{_ordinal(place)} of {len(times)}, {seen.arrival_ms:.3g} ms"


def _ordinal(place: int) -> str:
    if 10 <= place % 100 <= 20:
        return f"{place}th"
    return f"{place}{({1: 'st', 2: 'nd', 3: 'rd'}).get(place % 10, 'th')}"


# --- why ----------------------------------------------------------------------------------------


def _why(state: RunState, target: Target, seen: LayerMeasurement | None, wanted: Trainable) -> str:
    assert state.session is not None
    owners = target_owners(state, target)
    now = _measured_why(state, target, owners, seen) if seen else ""
    thaws_in = state.training.thaws_in_epoch(owners, state.step) if wanted == "none" else None
    if thaws_in is not None:
        now = f"{now} The plan thaws it in epoch {thaws_in}."
        return now if seen is not None else now.strip()
    if seen is not None and state.trainable(owners, state.measured_mask) == wanted:
        moved = state.predicted(owners) != seen.reach and state.measured_mask != state.wanted
        return f"{now} {_next_why(state, owners, wanted)}" if moved else now
    return f"{now} {_next_why(state, owners, wanted)}".strip()


def _next_why(state: RunState, owners: range, wanted: Trainable) -> str:
    """What the next step will do here, by the wanted mask and the real graph."""
    predicted = state.predicted(owners)
    if state.applied == state.wanted and predicted == "updated":
        return f"It learns since; step {state.step} was not measured."
    if predicted == "updated":
        return (
            "It learns from the next step on."
            if wanted == "all"
            else ("Its trainable parts learn from the next step on.")
        )
    if predicted == "passed":
        return "The next step's gradient passes through it; its weights stay as they are."
    if not state.wanted:
        return "Nothing is trainable: no gradient will flow."
    return "The next step's gradient will not come this far down."


def _measured_why(state: RunState, target: Target, owners: range, seen: LayerMeasurement) -> str:
    if seen.nonfinite:
        many = "value is" if seen.nonfinite == 1 else "values are"
        return f"{seen.nonfinite:,} gradient {many} not finite."
    if seen.reach == "updated":
        if seen.grad_norm is not None and seen.grad_norm < VANISHED:
            return "The gradient came, but it has vanished: there is nothing to learn from."
        if seen.update_ratio == 0:
            return "It has a gradient and did not move: its learning rate is 0."
        if state.trainable(owners, state.measured_mask) == "partial":
            return "Its trainable parts learnt; the frozen ones passed the gradient on."
        return "It learnt from its gradient."
    if seen.reach == "passed":
        below = _next_updated(state, owners)
        return f"Passes the gradient on to {below}." if below else "Passes the gradient on."
    if _cut_off(state, owners):
        return "Trainable, yet no gradient came: something above it cuts the graph."
    lowest, step = state.lowest_reached(predicted=False), state.measured
    if step is not None and state.session is not None:
        if target_rows(state.session.stack, target)[-1] < step.cached_rows:
            return "Cached: its output was kept for every image, so it was not executed."
    if lowest is None or state.session is None:
        return "Nothing was trainable: no gradient flowed."
    return f"Below the boundary: the gradient stopped at {state.session.stack.rows[lowest].name}."


def _next_updated(state: RunState, owners: range) -> str:
    """The next layer below these owners that was updated, by the measurement."""
    assert state.session is not None and state.measured is not None
    stack = state.session.stack
    row = stack.owners[owners.start].row
    for owner in range(owners.start - 1, -1, -1):
        if state.measured.owners and state.measured.owners[owner].reach == "updated":
            info = stack.owners[owner]
            return info.name if info.row == row else stack.rows[info.row].name
    return ""


def _cut_off(state: RunState, owners: range) -> bool:
    """The graph says that these are reached with the measured mask, and they were not."""
    assert state.session is not None
    mask = state.measured_mask
    if not any(owner in mask for owner in owners):
        return False
    parents = [owner.parents for owner in state.session.stack.owners]
    reach = predict_reach(parents, mask)
    return any(reach[owner] != "unreached" for owner in owners)

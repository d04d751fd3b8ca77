"""The details of one layer: its mask, what the last step did to it, and why."""

from __future__ import annotations

from dataclasses import dataclass

from tl_tui.estimates.gradient_reach import predict_reach
from tl_tui.protocol.layers import StackInfo
from tl_tui.protocol.training import LayerMeasurement
from tui.state.cursor import Target, target_name, target_owners
from tui.state.curve import STRATEGY_KEYS
from tui.state.layer_status import VANISHED, measurement_of, target_rows
from tui.state.run_state import RunState, Trainable
from tui.text.format import format_ordinal, format_percent, format_rate, format_significant
from tui.text.moments import age_text, step_text
from tui.text.progress import SchedulePosition, schedule_position

CHOICE = {"all": "train", "none": "frozen", "partial": "part"}


@dataclass(frozen=True)
class LayerDetails:
    """The fields of the inspector. Texts are empty where there is nothing to show."""

    name: str
    choice: str
    """`trains`, `frozen` or `partly frozen`."""
    chosen_by: str
    """Who chose that: `you`, a strategy, or `plan lp-ft`."""
    kind: str
    """Such as `BasicBlock` or `stage`."""
    detail: tuple[str, ...]
    """Such as (`256 → 512`, `stride 2`)."""
    params: int
    role: str
    shape: str
    wanted: str
    applied: str
    applied_in: str
    """The last step, to which `applied` belongs: `in step 15`."""
    reach: str
    measured_in: str
    """The step that measured the reach, the norms and the arrival: `step 11`; empty if it is the
    last step."""
    predicted: str
    norm_modes: tuple[str, ...]
    """The mode of its BatchNorms, and the mode at the next step if it differs."""
    norm_by_hand: bool
    """Whether the mode of a BatchNorm was set by hand."""
    lr: str
    lr_by_hand: bool
    """Whether a base rate was set by hand."""
    schedule: SchedulePosition
    moved: str
    """How far its weights are from their first values: `0.12 %`."""
    moved_from: str
    moved_at: str
    """The step after which that was measured: `at step 11`; empty if it is the last step."""
    drift: str
    """How far the running statistics of a frozen BatchNorm have changed."""
    weight_norm: str
    grad_norm: str
    grad_of: str
    """The parts that the gradient norm is over, if not all."""
    update_ratio: str
    arrival: str
    last_step: str
    """A sentence about what the last measured step did, and why."""
    next_step: str
    """A sentence about what the next steps will do, if that is different."""

    @property
    def full_kind(self) -> str:
        """Such as `BasicBlock 256 → 512, stride 2`."""
        return f"{self.kind} {', '.join(self.detail)}".strip()

    @property
    def norm_mode(self) -> str:
        """Such as `eval`, `eval → train` or `mixed`."""
        return " → ".join(self.norm_modes)

    @property
    def lr_remark(self) -> str:
        """Such as `× .50 cosine`, `at its floor` or `by hand × .50`."""
        if not self.lr_by_hand:
            return self.schedule.text
        return f"by hand {self.schedule.factor or self.schedule.name}".strip()

    @property
    def why(self) -> str:
        """Both sentences."""
        return " ".join(sentence for sentence in (self.last_step, self.next_step) if sentence)


def layer_details(state: RunState, target: Target) -> LayerDetails:
    """Return the details of a target. There must be a stack."""
    session = state.session
    assert session is not None
    stack = session.stack
    owners = target_owners(state, target)
    wanted = state.trainable(owners)
    applied = state.trainable(owners, state.applied) if state.applied is not None else None
    seen = measurement_of(stack, state.measured, target) if state.measured else None
    kind, detail, role, shape = _description(stack, target)
    norms = [owner for owner in owners if stack.owners[owner].norm]
    measured_in = age_text(state.measured, state.now)
    moved_at = age_text(state.results.moved, state.now)
    learning = [o for o in owners if o in (state.measured.mask if state.measured else ())]
    choice, chosen_by = _choice(state, wanted)
    last_step, next_step = _sentences(state, target, seen, wanted)
    over = f"over {len(learning)} of {len(owners)} parts" if 0 < len(learning) < len(owners) else ""
    return LayerDetails(
        name=target_name(stack, target),
        choice=choice,
        chosen_by=chosen_by,
        kind=kind,
        detail=detail,
        params=sum(stack.owners[owner].params for owner in owners),
        role=role,
        shape=" × ".join(map(str, shape)),
        wanted=_mask_text(wanted, owners, state.wanted),
        applied=(
            "" if applied is None else _mask_text(applied, owners, state.applied or frozenset())
        ),
        applied_in=f"in {step_text(state.last, state.now)}" if state.last else "",
        reach=seen.reach if seen else "",
        measured_in=measured_in if seen else "",
        predicted=state.predicted(owners),
        norm_modes=_norm_modes(state, norms),
        norm_by_hand=any(state.norm_modes.get(owner, "auto") != "auto" for owner in norms),
        lr=_lr(state, target, wanted),
        lr_by_hand=any(state.training.by_hand(row) for row in target_rows(stack, target)),
        schedule=schedule_position(state),
        moved=_moved(state, target),
        moved_from=_moved_from(state, target),
        moved_at=f"at {moved_at}" if moved_at else "",
        drift=_drift(state, owners),
        weight_norm=format_significant(seen.weight_norm) if seen and seen.weight_norm >= 0 else "",
        grad_norm=_number_text(seen.grad_norm if seen else None),
        grad_of=over if seen and seen.grad_norm is not None else "",
        update_ratio=_number_text(seen.update_ratio if seen else None),
        arrival=_arrival(state, target, seen),
        last_step=last_step,
        next_step=next_step,
    )


# --- the fields ---------------------------------------------------------------------------------


def _number_text(value: float | None) -> str:
    return "" if value is None else format_significant(value)


def _description(
    stack: StackInfo, target: Target
) -> tuple[str, tuple[str, ...], str, tuple[int, ...]]:
    """Return kind, detail, role and output shape of a target."""
    if target.kind == "stage":
        stage = stack.stages[target.index]
        count = stage.end_row - stage.first_row
        layers = f"of {count} layers" if count > 1 else "of 1 layer"
        return "stage", (layers,), stage.role, stage.output_shape
    if target.kind == "row":
        row = stack.rows[target.index]
        return row.kind, _items(row.detail), row.role, row.output_shape
    owner = stack.owners[target.index]
    return owner.kind, _items(owner.detail), f"part of {stack.rows[owner.row].name}", ()


def _items(detail: str) -> tuple[str, ...]:
    """Split the comma-separated list that the engine sends as a layer's detail."""
    return tuple(detail.split(", ")) if detail else ()


def _choice(state: RunState, wanted: Trainable) -> tuple[str, str]:
    """Return whether a layer trains, and who chose that."""
    choice = {"all": "trains", "none": "frozen", "partial": "partly frozen"}[wanted]
    if state.training.plan is not None:
        return choice, f"plan {state.training.plan.name}"
    strategy = state.strategy
    if strategy is None:
        return choice, {"unknown": "hand", "engine": "the engine"}.get(
            state.chosen_by, state.chosen_by
        )
    return choice, " ".join(STRATEGY_KEYS.get(strategy, (strategy,)))


def _mask_text(trainable: Trainable, owners: range, mask: frozenset[int]) -> str:
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


def _norm_modes(state: RunState, norms: list[int]) -> tuple[str, ...]:
    """Return the mode of some BatchNorms, and their mode at the next step if it differs."""
    if not norms:
        return ()
    masks = [state.wanted] if state.applied is None else [state.applied, state.wanted]
    texts = []
    for mask in masks:
        modes = {_mode(state, owner, mask) for owner in norms}
        texts.append(modes.pop() if len(modes) == 1 else "mixed")
    return tuple(dict.fromkeys(texts))


def _lr(state: RunState, target: Target, wanted: Trainable) -> str:
    """Return the learning rate; for a stage the smallest and the largest rate of its rows.

    Empty for a frozen target whose rate was not set by hand.
    """
    assert state.session is not None
    rows = target_rows(state.session.stack, target)
    if wanted == "none" and not any(state.training.by_hand(row) for row in rows):
        return ""
    factor = state.training.factor(state.step)
    rates = sorted({state.training.rates[row] * factor for row in rows})
    return " to ".join(format_rate(rate) for rate in dict.fromkeys((rates[0], rates[-1])))


def _moved(state: RunState, target: Target) -> str:
    """Such as `0.12 %`; for a stage the largest value of its rows."""
    assert state.session is not None
    if state.results.moved is None:
        return ""
    rows = target_rows(state.session.stack, target)
    return format_percent(max(state.results.moved.rows[row] for row in rows))


def _moved_from(state: RunState, target: Target) -> str:
    """Return what `moved` is relative to: a new head and random weights are not pretrained."""
    session = state.session
    assert session is not None
    rows = target_rows(session.stack, target)
    pretrained = session.pretrained and state.training.weights == session.weights
    first = "from its start"
    return "from pretrained" if pretrained and not session.stack.rows[rows[-1]].head else first


def _drift(state: RunState, owners: range) -> str:
    """Say how far the running statistics of frozen BatchNorms have changed."""
    moved = state.results.moved
    drifted = [
        amount
        for owner, amount in (moved.running_mean_drift.items() if moved else ())
        if owner in owners
        and owner not in state.wanted
        and state.norm_modes.get(owner) == "train"  # else they changed while it was trainable
        and amount > 0
    ]
    if not drifted:
        return ""
    when = age_text(moved, state.now)
    text = f"BatchNorm drifted by {max(drifted):.2f} σ, though frozen"
    return f"{text}, at {when}" if when else text


def _arrival(state: RunState, target: Target, seen: LayerMeasurement | None) -> str:
    if seen is None or seen.arrival_ms is None or state.measured is None:
        return ""
    if target.kind == "stage":
        return f"{seen.arrival_ms:.3g} ms"
    all_seen = state.measured.rows if target.kind == "row" else state.measured.owners
    times = [other.arrival_ms for other in all_seen if other.arrival_ms is not None]
    position = sum(time < seen.arrival_ms for time in times) + 1
    return f"{format_ordinal(position)} of {len(times)}, {seen.arrival_ms:.3g} ms"


# --- sentences ----------------------------------------------------------------------------------


def _sentences(
    state: RunState, target: Target, seen: LayerMeasurement | None, wanted: Trainable
) -> tuple[str, str]:
    """Return what the last measured step did, and what comes next; either may be empty."""
    owners = target_owners(state, target)
    last = _last_step(state, target, owners, seen) if seen else ""
    if last and (when := age_text(state.measured, state.now)):
        last = f"{when.capitalize()}: {last[0].lower()}{last[1:]}"
    thaws_in = state.training.thaws_in_epoch(owners, state.step) if wanted == "none" else None
    if thaws_in is not None:
        return last, f"The plan thaws it in epoch {thaws_in}."
    if seen is not None and state.trainable(owners, state.measured_mask) == wanted:
        changes = state.predicted(owners) != seen.reach and state.measured_mask != state.wanted
        return last, _next_step(state, owners, wanted) if changes else ""
    return last, _next_step(state, owners, wanted)


def _next_step(state: RunState, owners: range, wanted: Trainable) -> str:
    """Predict what the next step does, from the wanted mask and the model's graph."""
    predicted = state.predicted(owners)
    if state.applied == state.wanted and predicted == "updated":
        return f"It trains; step {state.step:,} was not measured."
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


def _last_step(state: RunState, target: Target, owners: range, seen: LayerMeasurement) -> str:
    """Return what the last measured step did, and why."""
    if seen.nonfinite:
        values = "value is" if seen.nonfinite == 1 else "values are"
        return f"{seen.nonfinite:,} gradient {values} not finite."
    if seen.reach == "updated":
        if seen.grad_norm is not None and seen.grad_norm < VANISHED:
            return "The gradient came, but it has vanished: there is nothing to learn from."
        if seen.update_ratio == 0:
            return "It has a gradient and did not move: its update was 0, or too small for fp32."
        if state.trainable(owners, state.measured_mask) == "partial":
            return "Its trainable parts learnt; the frozen ones passed the gradient on."
        return "It learnt from its gradient."
    if seen.reach == "passed":
        below = _next_updated(state, owners)
        return f"Passes the gradient on to {below}." if below else "Passes the gradient on."
    if _cut_off(state, owners):
        return "Trainable, yet no gradient came: the graph does not connect it with the loss."
    lowest, step = state.lowest_reached(predicted=False), state.measured
    if step is not None and state.session is not None:
        if target_rows(state.session.stack, target)[-1] < step.cached_rows:
            return "Cached: its output was kept for every image, so it was not executed."
    if lowest is None or state.session is None:
        return "Nothing was trainable: no gradient flowed."
    return f"Below the boundary: the gradient stopped at {state.session.stack.rows[lowest].name}."


def _next_updated(state: RunState, owners: range) -> str:
    """Return the next layer below these owners that the last measured step updated."""
    assert state.session is not None and state.measured is not None
    stack = state.session.stack
    row = stack.owners[owners.start].row
    for owner in range(owners.start - 1, -1, -1):
        if state.measured.owners and state.measured.owners[owner].reach == "updated":
            info = stack.owners[owner]
            return info.name if info.row == row else stack.rows[info.row].name
    return ""


def _cut_off(state: RunState, owners: range) -> bool:
    """Return whether the graph predicts a gradient for these owners with the measured mask.

    If none arrived, the graph does not connect them with the loss.
    """
    assert state.session is not None
    mask = state.measured_mask
    if not any(owner in mask for owner in owners):
        return False
    parents = [owner.parents for owner in state.session.stack.owners]
    reach = predict_reach(parents, mask)
    return any(reach[owner] != "unreached" for owner in owners)

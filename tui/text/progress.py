"""How far training is, in words: epochs, time left, where the schedule stands, what came of it."""

from __future__ import annotations

import math

from tl_tui.common.metrics import accuracy_words, share_words
from tl_tui.protocol.session import SessionOpened
from tl_tui.protocol.training import TrainEnded
from tui.state.run_state import RunState

SLOW_STEP = 2.0
"""Seconds after which a single step is told to be still running."""


def epochs_in_all(state: RunState) -> int:
    """Epochs of this start until training ends, or until the schedule does if it does not run."""
    training = state.training
    to_step = training.train_to or training.horizon
    return max(1, math.ceil(to_step / training.batches_per_epoch))


def epoch_words(state: RunState) -> str:
    """Such as `epoch 4 of 10`; behind the end `10 epochs done`, then `epoch 11, past the 10`."""
    training = state.training
    epoch = state.last.epoch if state.last else 1
    in_all = epochs_in_all(state)
    if training.train_to is None and training.over(state.step):
        if state.step > training.horizon:
            return f"epoch {epoch}, past the {in_all}"
        return "1 epoch done" if in_all == 1 else f"{in_all} epochs done"
    return f"epoch {min(epoch, in_all)} of {in_all}"


def format_time_left(seconds: float) -> str:
    """Such as `40 s left`, `2 min left`, `1 h 20 min left`."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s left"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min left"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min left" if hours < 10 else f"{hours} h left"


def progress_words(state: RunState) -> str:
    """Such as `epoch 4 of 10 · 2 min left` while it trains; else what it is busy with, if that
    takes long, or that the schedule has come to its end. A cross-validation goes before."""
    if (fold := state.results.fold) is not None:
        return f"fold {fold.fold} of {fold.folds} · step {fold.step:,} of {fold.steps:,}"
    if state.running:
        left = state.training.seconds_left
        return epoch_words(state) + (f" · {format_time_left(left)}" if left is not None else "")
    if (
        state.busy is not None
        and state.phase == "ready"
        and ("step" not in state.busy.activity or state.busy.seconds >= SLOW_STEP)
    ):
        return f"{state.busy.activity} · {state.busy.seconds:.0f} s"
    return epoch_words(state) if state.step and state.training.over(state.step) else ""


def compared_with(session: SessionOpened) -> str:
    """What any accuracy stands beside: `chance .50, always hot dog .62`."""
    chance = 1 / max(1, len(session.classes))
    majority = session.majority / session.val_images if session.val_images else chance
    said = f"chance {share_words(chance)}"
    if majority - chance >= 0.005:
        said += f", always {session.classes[session.majority_class]} {share_words(majority)}"
    return said


def result_words(state: RunState) -> str:
    """The last whole validation of this start: `71 of 80, .89 (.80 to .94); chance .50`."""
    whole = state.results.validated
    start = state.curves[-1].start
    if whole is None or state.session is None or whole.start != start:
        return ""
    words = f"{accuracy_words(whole.correct, whole.total)}; {compared_with(state.session)}"
    return words if whole.step == state.step else f"at step {whole.step} {words}"


def ended_sentence(state: RunState, ended: TrainEnded) -> str:
    """What to say when training came to its end or was paused."""
    training, result = state.training, result_words(state)
    if ended.reason == "failed":
        return f"Training stopped after step {ended.step}; the messages say why."
    if ended.reason == "paused":
        where = f"Paused after step {ended.step:,}, {epoch_words(state)}."
        return f"{where} r goes on."
    epochs = max(1, math.ceil(ended.step / training.batches_per_epoch))
    done = "The epoch is done" if epochs == 1 else f"The {epochs} epochs are done"
    if ended.step % training.batches_per_epoch:
        done = f"The {ended.step:,} steps are done"
    said = f"{done}: {result}." if result else f"{done}."
    floor = training.recipe is not None and training.recipe.schedule != "constant"
    if training.over(ended.step):
        goes_on = "r goes on at the floor rate" if floor else "r goes on"
        said += f" {goes_on}; c begins a new cycle." if floor else f" {goes_on}."
    return said


def schedule_words(state: RunState) -> str:
    """Where the schedule stands: `× .50 cosine`, `at its floor`; empty if it is constant."""
    training = state.training
    if training.recipe is None:
        return ""
    factor, schedule = training.factor(state.step), training.recipe.schedule
    if schedule == "constant":
        return f"× {factor_words(factor)} warm-up" if factor < 1 else ""
    if training.over(state.step):
        return "at its floor"
    return f"× {factor_words(factor)} {schedule}"


def factor_words(factor: float) -> str:
    """Such as `.50` or `4e-06`."""
    return share_words(factor) if factor >= 0.01 else f"{factor:.0e}"


def cycle_offer(state: RunState) -> bool:
    """The schedule is past its beginning, so that what is thawed now would learn at a low rate."""
    training = state.training
    if training.recipe is None or training.recipe.schedule == "constant" or training.plan:
        return False
    cycle = training.cycle
    if cycle is None or 3 * (state.step - cycle.after_step) < cycle.steps:
        return False
    return training.factor(state.step) < 0.8

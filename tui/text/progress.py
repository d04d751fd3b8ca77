"""Training progress: epochs, time left, the schedule, and the results so far."""

from __future__ import annotations

from dataclasses import dataclass

from tl_tui.common.metrics import accuracy_words, share_words
from tl_tui.protocol.session import SessionOpened
from tl_tui.protocol.training import TrainEnded, Validated
from tui.state.moment import moment_of
from tui.state.run_state import RunState
from tui.text.format import format_time_left
from tui.text.moments import age_text

SLOW_STEP = 2.0
"""Seconds after which a single step is shown as still running."""


def epochs_in_all(state: RunState) -> int:
    """Return the epochs of this start until training ends; while it does not run, until the
    schedule ends."""
    training = state.training
    to_step = training.train_to or training.horizon
    return max(1, training.epochs_until(to_step))


def epoch_of_last_step(state: RunState) -> int:
    """Return the epoch of the last step; 1 before the first."""
    if state.last is not None and moment_of(state.last) == state.now:
        return state.last.epoch
    return max(1, state.training.epochs_until(state.step))


def epoch_text(state: RunState) -> str:
    """Such as `epoch 4 of 10`; at the end `10 epochs done`, later `epoch 11, past the 10`."""
    training = state.training
    epoch = epoch_of_last_step(state)
    in_all = epochs_in_all(state)
    if training.train_to is None and training.over(state.step):
        if state.step > training.horizon:
            return f"epoch {epoch}, past the {in_all}"
        return "1 epoch done" if in_all == 1 else f"{in_all} epochs done"
    return f"epoch {min(epoch, in_all)} of {in_all}"


def progress_text(state: RunState) -> str:
    """Return the progress for the title.

    That is the progress of a cross-validation; else the epoch and the time left while training
    runs, such as `epoch 4 of 10 · 2 min left`; else what the engine has been busy with for long;
    else that the schedule has ended. Empty if there is nothing to show.
    """
    if (fold := state.results.fold) is not None:
        return f"fold {fold.fold} of {fold.folds} · step {fold.step:,} of {fold.steps:,}"
    if state.running:
        left = state.training.seconds_left
        return epoch_text(state) + (f" · {format_time_left(left)}" if left is not None else "")
    if (
        state.busy is not None
        and state.phase == "ready"
        and (state.busy.kind != "step" or state.busy.seconds >= SLOW_STEP)
    ):
        return f"{state.busy.activity} · {state.busy.seconds:.0f} s"
    return epoch_text(state) if state.step and state.training.over(state.step) else ""


def baseline_counts(session: SessionOpened, seen: Validated) -> tuple[str, ...]:
    """Return how many images of a validation guessing gets right, longest form first.

    Chance is one image of each `classes`. The majority is what always guessing the most frequent
    class gets right; it is left out where it equals chance.
    """
    chance = seen.total / max(1, len(session.classes))
    frequent, sample = session.majority, session.val_images
    if seen.yardstick:
        frequent, sample = session.yardstick_majority, session.yardstick
    majority = seen.total * frequent / sample if sample else 0.0
    if seen.per_class:
        majority = max(total for _, total in seen.per_class)
    guessed = f"chance {chance:.0f}" if chance >= 0.5 else "chance <1"
    if majority - chance < 0.5:
        return (f"({guessed})",)
    return f"({guessed}, majority {majority:.0f})", f"(majority {majority:.0f})"


def baseline_text(session: SessionOpened) -> str:
    """Return the accuracies to compare a result with: `chance .50, always hot dog .62`."""
    chance = 1 / max(1, len(session.classes))
    majority = session.majority / session.val_images if session.val_images else chance
    text = f"chance {share_words(chance)}"
    if majority - chance >= 0.005:
        text += f", always {session.classes[session.majority_class]} {share_words(majority)}"
    return text


def result_text(state: RunState) -> str:
    """Return the last validation on all images of this start, with the baseline.

    Such as `71 of 80, .89 (.80 to .94); chance .50`; empty if there was none.
    """
    result = state.results.validated
    if result is None or state.session is None or result.start != state.now.start:
        return ""
    text = f"{accuracy_words(result.correct, result.total)}; {baseline_text(state.session)}"
    when = age_text(result, state.now)
    return f"at {when} {text}" if when else text


def ended_sentence(state: RunState, ended: TrainEnded) -> str:
    """Return the message for the end of training, or for a pause."""
    training, result = state.training, result_text(state)
    if ended.reason == "failed":
        return f"Training stopped after step {ended.step}; the messages say why."
    if ended.reason == "paused":
        paused = f"Paused after step {ended.step:,}, {epoch_text(state)}."
        return f"{paused} r continues." if state.steers else paused
    epochs = max(1, training.epochs_until(ended.step))
    done = "The epoch is done" if epochs == 1 else f"The {epochs} epochs are done"
    if not training.ends_epoch(ended.step):
        done = f"The {ended.step:,} steps are done"
    sentence = f"{done}: {result}." if result else f"{done}."
    if not training.over(ended.step) or not state.steers:
        return sentence
    if training.recipe is not None and training.recipe.schedule != "constant":
        return f"{sentence} r continues at the floor rate; c begins a new cycle."
    return f"{sentence} r continues."


@dataclass(frozen=True)
class SchedulePosition:
    """The schedule's effect on the learning rates at the next step."""

    factor: str = ""
    """The factor of the base rates, such as `× .50`; empty if it is 1 or at its floor."""
    name: str = ""
    """Such as `cosine`, `warm-up` or `at its floor`; empty if the rates are constant."""

    @property
    def text(self) -> str:
        """Such as `× .50 cosine` or `at its floor`; empty if the rates are constant."""
        return " ".join(part for part in (self.factor, self.name) if part)


def schedule_position(state: RunState) -> SchedulePosition:
    """Return the schedule's effect on the learning rates at the next step."""
    training = state.training
    if training.recipe is None:
        return SchedulePosition()
    factor, schedule = training.factor(state.step), training.recipe.schedule
    if schedule == "constant":
        if factor >= 1:
            return SchedulePosition()
        return SchedulePosition(f"× {factor_text(factor)}", "warm-up")
    if training.over(state.step):
        return SchedulePosition(name="at its floor")
    return SchedulePosition(f"× {factor_text(factor)}", schedule)


def factor_text(factor: float) -> str:
    """Such as `.50` or `4e-06`."""
    return share_words(factor) if factor >= 0.01 else f"{factor:.0e}"


def cycle_offer(state: RunState) -> bool:
    """Return whether to suggest a new cycle of the schedule.

    That is when the rates are so low that a layer thawed now would hardly learn.
    """
    training = state.training
    if training.recipe is None or training.recipe.schedule == "constant" or training.plan:
        return False
    cycle = training.cycle
    if cycle is None or 3 * (state.step - cycle.after_step) < cycle.steps:
        return False
    return training.factor(state.step) < 0.8

"""Messages about events: an audit, a step that failed, the end of training, another screen.

Each comes with what it depends on, so that it disappears when it stops being true.
"""

from __future__ import annotations

from tl_tui.common.metrics import diverged
from tl_tui.protocol.checks import Audited
from tl_tui.protocol.config import Recipe
from tl_tui.protocol.dataset import ValuesClipped
from tl_tui.protocol.events import AnyEvent, ViewersChanged
from tl_tui.protocol.session import LayerRestored, Plan, PlanChanged, StartedOver
from tl_tui.protocol.training import (
    CheckpointSaved,
    ImageSkipped,
    StepNotApplied,
    StepTaken,
    TrainEnded,
)
from tui.state.mask_undo import RestoreEntry, StartOverEntry
from tui.state.moment import moment_of
from tui.state.notice import Notice, activity, always, progress
from tui.state.run_state import RunState
from tui.text.clipped_values import clipped_sentence
from tui.text.divergence import diverged_sentence
from tui.text.layer_names import names_of
from tui.text.progress import ended_sentence
from tui.text.viewers import viewers_sentence


def event_notices(state: RunState, event: AnyEvent | None, *, kept: bool = False) -> list[Notice]:
    """Return the messages about an event.

    Args:
        state: The state of the run, with the event.
        event: The event.
        kept: Whether the weights were kept as a checkpoint by a start over.
    """
    notices = [
        Notice(notice.sentence, activity if notice.answers_command else always, urgent=False)
        for notice in state.notices
    ]
    match event:
        case ViewersChanged() if event != state.watched_before:
            sentence = viewers_sentence(state.watched_before, event)
            notices.append(Notice(sentence, lambda s: s.watched, urgent=False))
        case StepTaken() if state.session and _newly_diverged(state, event):
            sentence = diverged_sentence(event.step, event.loss, len(state.session.classes))
            notices.append(Notice(sentence, urgent=False))
        case StepNotApplied(sentence=sentence):
            text = f"{sentence}{proposal_text(state.proposed())}"
            notices.append(Notice(text, lambda s: (s.not_applied, s.proposed()), pinned=True))
        case ImageSkipped(lost_class=sentence) if sentence:
            notices.append(Notice(sentence, pinned=True))
        case ValuesClipped():
            notices.append(Notice(clipped_sentence(event), always, urgent=False))
        case Audited():
            notices.append(Notice(audit_sentence(event)))
        case StartedOver():
            notices.append(_started_over_notice(kept))
        case TrainEnded():
            ended = ended_sentence(state, event)
            notices.append(Notice(ended, lambda s: (progress(s), s.training.cycle)))
        case CheckpointSaved(name=name, failure=failure) if failure:
            text = failure
            if name != "journal":
                text = f"The checkpoint {name} could not be saved: {failure}"
            notices.append(Notice(text, lambda s: s.training.checkpoints.get(name), pinned=True))
        case PlanChanged(plan=None, reason=why):
            notices.append(
                Notice(
                    plan_ended_sentence(state, why),
                    lambda s: (progress(s), s.training.plan, s.training.cycle),
                )
            )
        case PlanChanged(plan=Plan(name=name), reason=why) if why:
            notices.append(Notice(f"The plan {name} continues.", lambda s: s.training.plan))
        case LayerRestored() if state.stack:
            notices.append(_restored_notice(state, event))
    return notices


def recipe_notice(state: RunState, recipe: Recipe, discarded: str) -> Notice:
    """Return the message for a recipe that is sent to the engine.

    Args:
        state: The state of the run, with the recipe before.
        recipe: The new recipe.
        discarded: A sentence about rates that it replaces; may be empty.
    """
    training, before = state.training, state.training.recipe
    sentence, about = "The recipe applies from the next step on.", progress
    if state.running:
        sentence, about = f"The recipe was changed after step {state.step:,}.", always
    if training.plan and before is not None and recipe.epochs != before.epochs:
        sentence += f" The plan {training.plan.name} keeps its own epochs."
    return Notice(
        f"{sentence} {discarded}".rstrip(),
        # The engine has not confirmed the new recipe yet.
        lambda s: (about(s), s.training.recipe in (before, recipe)),
    )


def _started_over_notice(kept: bool) -> Notice:
    sentence = (
        "Training starts over. The previous training is kept as a curve and a checkpoint. "
        "Press u before the next step to undo this."
        if kept
        else "Started over: weights, optimizer and batches are as at the start. Press u to undo, "
        "until the next step."
    )
    return Notice(
        sentence,
        lambda s: (progress(s), any(isinstance(entry, StartOverEntry) for entry in s.undo_list)),
    )


def _restored_notice(state: RunState, event: LayerRestored) -> Notice:
    assert state.stack is not None
    names = names_of(state.stack, event.owners, 3)
    if event.undone:
        return Notice(f"The restore of {names.text} is undone.")
    have = "have" if names.plural else "has"
    return Notice(
        f"{names.text} {have} the weights of the beginning of this start. Press u to undo.",
        lambda s: (progress(s), sum(isinstance(entry, RestoreEntry) for entry in s.undo_list)),
    )


def plan_ended_sentence(state: RunState, why: str) -> str:
    """Say that the plan has ended, why, and how the learning-rate schedule continues."""
    if not state.step:
        return f"The plan has ended ({why}). Press s to choose a plan."
    training = state.training
    epoch = training.epochs_until(training.horizon)
    return (
        f"The plan has ended ({why}); the schedule of its phase ends with epoch {epoch}. "
        "Press c to begin a new cycle, or s to choose a plan."
    )


def _newly_diverged(state: RunState, step: StepTaken) -> bool:
    """Return whether a step is the first whose loss shows that training has diverged."""
    assert state.session is not None
    classes = len(state.session.classes)
    earlier = [loss for number, loss in state.curves[-1].loss if number < step.step]
    return diverged(step.loss, classes) and not (earlier and diverged(earlier[-1], classes))


def lost_sentence(state: RunState) -> str:
    """Return what was lost when the engine died; empty if nothing was."""
    if state.session is None or not state.step:
        return ""
    run = state.session.run_dir.rstrip("/").rpartition("/")[2]
    saved, start = state.training.resume_checkpoint, state.now.start
    if saved is not None:
        if moment_of(saved) == state.now:
            return ""
        lost = "later steps are lost" if saved.start == start else f"start {start} is lost"
        return (
            "The run continues from its last checkpoint, "
            f"start {saved.start}, step {saved.step:,}: {lost}."
        )
    return (
        f"The run begins again from its first weights, with your choices: {run} has no checkpoint "
        f"of this start, so the steps up to {state.step:,} are lost."
    )


CAUSES = 2
"""The number of causes that an audit's sentence names; the others are counted."""


def audit_sentence(audited: Audited) -> str:
    """Return how many frozen tensors changed, with the name of one tensor for each cause."""
    when = "Audit" if audited.step is None else f"Audit after step {audited.step:,}"
    if not audited.tensors:
        return f"{when}: nothing was frozen, so there was nothing to compare."
    if not audited.findings:
        return f"{when}: all {audited.tensors:,} frozen tensors are bit for bit as before."
    by_cause: dict[str, list[str]] = {}
    for finding in audited.findings:
        by_cause.setdefault(finding.cause, []).append(finding.tensor)
    count = len(audited.findings)
    if count == 1:
        ((cause, (tensor,)),) = by_cause.items()
        return f"{when}: {tensor} changed though frozen: {cause}."
    sentences = [f"{when}: {count:,} of {audited.tensors:,} frozen tensors changed."]
    causes = sorted(by_cause.items(), key=lambda item: -len(item[1]))
    for cause, tensors in causes[:CAUSES]:
        more = f" and {len(tensors) - 1:,} more" if len(tensors) > 1 else ""
        sentences.append(f"{tensors[0]}{more}: {cause}.")
    if rest := sum(len(tensors) for _, tensors in causes[CAUSES:]):
        sentences.append(f"{rest:,} more by other causes.")
    return " ".join(sentences)


def proposal_text(proposed: tuple[int, ...] | int | None) -> str:
    """Return what `y` does about a step that ran out of memory, to append to a sentence.

    Args:
        proposed: See `RunState.proposed`.
    """
    if proposed is None:
        return ""
    if isinstance(proposed, int):
        return f" y opens again with batches of {proposed}."
    return " y takes that mask, u takes it back."

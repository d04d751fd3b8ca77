"""The lines of text that report a run, for logs, pipes and the space above a progress bar.

They may contain class names, paths and notes; print them with `names.printable`.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from tl_tui.common.metrics import accuracy_words, diverged, guessing_loss, share_words
from tl_tui.protocol.checks import CrossValidationEnded, FoldValidated
from tl_tui.protocol.dataset import ValuesClipped
from tl_tui.protocol.events import AnyEvent, Refused
from tl_tui.protocol.layers import StackInfo
from tl_tui.protocol.session import (
    CycleBegan,
    EpochResized,
    MaskPlanned,
    Plan,
    PlanChanged,
    SessionOpened,
)
from tl_tui.protocol.training import (
    CheckpointSaved,
    ImageSkipped,
    StepNotApplied,
    StepTaken,
    TrainEnded,
    Validated,
)
from tl_tui.runs.continuing import run_argument
from tl_tui.runs.journal_writer import CHECKPOINTS
from tui.app.config_from_state import mask_names
from tui.cli.output.names import short_name
from tui.cli.output.train.run_summary import RunSummary
from tui.text.clipped_values import clipped_sentence
from tui.text.dataset import dataset_sentences
from tui.text.divergence import diverged_sentence
from tui.text.format import format_duration, loss_text
from tui.text.layer_names import names_of

MOST_CLASSES = 10
"""The largest number of classes listed; with more, only the worst are."""


def reach_summary(step: StepTaken) -> str:
    """Return how far the gradient went, such as `3 updated, 1 passed, 6 unreached`.

    Empty if the step was not measured.
    """
    counts = Counter(row.reach for row in step.rows)
    return ", ".join(
        f"{counts[reach]} {reach}" for reach in ("updated", "passed", "unreached") if counts[reach]
    )


def progress_text(summary: RunSummary, step: StepTaken) -> str:
    """Return the progress of a run, such as `epoch 3/10 step 48/160`."""
    if summary.to_step is None:
        return f"epoch {step.epoch} step {step.step}"
    return f"epoch {step.epoch}/{summary.epochs} step {step.step}/{summary.to_step}"


def opening_lines(session: SessionOpened, folds: int | None = None) -> list[str]:
    """Return the model, data, device, trainable parameters, images, plan and notes of a session.

    Args:
        session: The session.
        folds: The number of folds of the cross-validation that follows; None if training does.
    """
    owners = session.stack.owners
    trains = sum(owners[owner].params for owner in session.trainable)
    lines = [
        f"{session.arch}, {session.weights} weights, {session.data}: {len(session.classes)} "
        f"classes, {session.train_images} + {session.val_images} images; {session.device}; "
        f"{trains:,} of {sum(owner.params for owner in owners):,} parameters train"
    ]
    lines += dataset_sentences(session, folds)
    if session.plan is not None:
        lines.append(_plan_sentence(session.plan))
    return [*lines, *session.notes]


def event_lines(summary: RunSummary, event: AnyEvent) -> list[str]:
    """Return the lines for an event that is neither a step nor a skipped image.

    Args:
        summary: The state of the run after the event.
        event: The event.
    """
    stack = summary.session.stack
    match event:
        case Validated(yardstick=False):
            return [validation_sentence(summary.session, event)]
        case ValuesClipped():
            return [clipped_sentence(event)]
        case CheckpointSaved(name="journal"):
            return [event.failure]
        case CheckpointSaved() if event.failure:
            return [f"The checkpoint {event.name} could not be saved: {event.failure}"]
        case PlanChanged(plan=None):
            return [f"The plan was cancelled{_because(event.reason)}."]
        case PlanChanged() if event.plan is not None:
            return [_plan_sentence(event.plan)]
        case MaskPlanned():
            layers = _trainable_text(stack, event.trainable)
            return [f"From step {summary.steps + 1} on {layers}{_because(event.reason)}."]
        case CycleBegan() if event.reason != summary.mask_why:
            steps = event.cycle.steps
            return [
                f"The learning rate schedule restarts over {steps} steps{_because(event.reason)}."
            ]
        case EpochResized():
            steps = event.batches_per_epoch
            return [
                f"An epoch has {steps:,} step{'' if steps == 1 else 's'} from here on, because "
                "images cannot be read."
            ]
        case FoldValidated():
            return [_fold_sentence(event)]
        case CrossValidationEnded():
            return cross_validation_lines(event)
        case StepNotApplied():
            return [event.sentence]
        case Refused(harmless=True):
            return [event.reason]
        case TrainEnded(reason="failed"):
            after = (
                f"after step {event.step:,}" if event.step else "before its first step was taken"
            )
            return [f"Training failed {after}.", *_continue_lines(summary)]
    return []


def resume_command(summary: RunSummary, event: StepNotApplied) -> str | None:
    """Return the command that continues a run after a step that could not be applied.

    None if no command does: the same steps from the same weights would fail again.
    """
    run = run_argument(summary.session.run_dir)
    if not event.memory:
        screen = f"tl-tui resume {run} --checkpoint best --screen"
        return screen if event.remedy == "rates" and _has_best(summary) else None
    if event.trainable is not None:
        names = mask_names(summary.session.stack, event.trainable)
        return f"tl-tui resume {run} --trainable {','.join(names)}"
    return f"tl-tui resume {run}"


def _has_best(summary: RunSummary) -> bool:
    """Return whether a run has a checkpoint of its best weights, from whichever session."""
    file = Path(summary.session.run_dir) / CHECKPOINTS / "best.safetensors"
    return "best" in summary.checkpoints or file.exists()


def _continue_lines(summary: RunSummary) -> list[str]:
    """Return how to continue after a step that could not be applied."""
    event = summary.not_applied
    if event is None or not event.step:  # Without a number, it belongs to a cross-validation.
        return []
    lines = []
    command, rate = resume_command(summary, event), summary.session.recipe.lr_head
    if event.remedy == "rates" and rate:
        lines.append(f"`tl-tui train` with a lower --lr (here it is {rate:g}) starts over.")
    if command is None or (event.memory and "last" not in summary.checkpoints):
        return lines
    if not event.memory:
        how = "opens the run with its best weights so far, where the rates can be lowered"
    elif event.trainable is not None:
        how = "continues with the layers that should fit into memory"
    else:
        how = "continues once more memory is free"
    return [*lines, f"`{command}` {how}."]


def divergence_lines(summary: RunSummary, step: StepTaken) -> list[str]:
    """Return a remark on the first step whose loss shows that training has diverged."""
    if summary.diverged_at != step.step:
        return []
    return [diverged_sentence(step.step, step.loss, len(summary.session.classes))]


def skipped_lines(event: ImageSkipped) -> list[str]:
    """Return which image was skipped, and a warning if its class has no other images."""
    lines = [f"Skipped {event.path}: {event.reason}"]
    return [*lines, event.lost_class] if event.lost_class else lines


def validation_sentence(session: SessionOpened, result: Validated) -> str:
    """Return a validation with its confidence interval, the chance level and the majority share."""
    majority = majority_share(session, result)
    sentence = (
        f"Epoch {result.epoch}, validation: {accuracy_words(result.correct, result.total)}; "
        f"chance {share_words(1 / len(session.classes))}, majority {share_words(majority)} "
        f"({short_name(session.classes[session.majority_class])}); loss {loss_text(result.loss)}."
    )
    if result.best:
        sentence += " Best so far."
    if diverged(result.loss, len(session.classes)):
        guessing = guessing_loss(len(session.classes))
        sentence += f" Training has diverged: guessing has the loss {loss_text(guessing)}."
    if result.skipped_images:
        images = "image was" if result.skipped_images == 1 else "images were"
        sentence += f" {result.skipped_images} {images} skipped."
    return sentence


def majority_share(session: SessionOpened, result: Validated) -> float:
    """Return the share of the most frequent class among the validation images, 0 to 1."""
    if result.per_class and result.total:
        return max(total for _, total in result.per_class) / result.total
    return session.majority / session.val_images


def cross_validation_lines(event: CrossValidationEnded) -> list[str]:
    """Return the mean and spread over the folds, and the accuracy over the images of all folds."""
    if not event.accuracies:
        return ["No fold was completed."]
    mean = share_words(statistics.fmean(event.accuracies))
    count = len(event.accuracies)
    lines = []
    if event.reason != "done":
        lines.append(f"Cross-validation ended early: {count} of {event.folds} folds.")
    if count > 1:
        spread = statistics.stdev(event.accuracies)
        lines.append(
            f"{count} folds: mean accuracy {mean}, spread {spread:.3f} (one standard deviation)."
        )
    lines.append(f"All folds together: {accuracy_words(event.correct, event.total)}.")
    return lines


def ending_lines(summary: RunSummary) -> list[str]:
    """Return the lines at the end of a run, except its paths."""
    return _result_lines(summary) if summary.ended else _interrupted_lines(summary)


def _result_lines(summary: RunSummary) -> list[str]:
    """Return what the last measured step changed, and the accuracy per class."""
    from tui.text.caption import caption_of

    lines = [caption_of(summary.session.stack, summary.measured)] if summary.measured else []
    if (summary.step or summary.failed) and not summary.validation:
        resumed = " since the run was resumed" if summary.session.step else ""
        why = (
            "training failed before its first validation was finished"
            if summary.failed
            else "no validation image can be read"
        )
        lines.append(f"Nothing was validated{resumed}, because {why}.")
    return [*lines, *_class_lines(summary.session.classes, summary.best or summary.validation)]


def _interrupted_lines(summary: RunSummary) -> list[str]:
    """Return how far an interrupted run got, and how to continue it."""
    if not summary.step:
        return ["Stopped before a step was taken; there is nothing new to save."]
    lines = [f"Stopped after step {summary.steps}, before the end of the run."]
    if (last := summary.checkpoints.get("last")) is not None:
        run = run_argument(summary.session.run_dir)
        lines.append(f"`tl-tui resume {run}` continues from step {last.step}.")
    return lines


def path_lines(summary: RunSummary) -> list[str]:
    """Return the paths of the checkpoints and of the run directory."""
    lines = [
        f"{name.capitalize()} checkpoint, after step {saved.step}: {saved.path}"
        for name, saved in sorted(summary.checkpoints.items())
        if name in ("best", "last")
    ]
    if summary.step:
        last = summary.checkpoints.get("last")
        if last is None:
            lines.append("No checkpoint was saved: the weights are lost.")
        elif last.step < summary.steps:
            lines.append(f"The training after step {last.step} was not saved.")
    if not (summary.step or summary.folds or summary.validation):
        return []
    return [*lines, f"Run: {summary.session.run_dir}"]


def _class_lines(classes: Sequence[str], result: Validated | None) -> list[str]:
    """Return the table of accuracies per class for a validation."""
    if result is None or not result.per_class:
        return []
    when = f"{'best ' if result.best else ''}validation, epoch {result.epoch}"
    return class_table(classes, result.per_class, when)


def class_table(
    classes: Sequence[str],
    per_class: Sequence[tuple[int, int]],
    when: str,
    others: Sequence[str] = (),
) -> list[str]:
    """Return a table with the accuracy of each class, or of the worst `MOST_CLASSES`.

    Args:
        classes: The names of the classes.
        per_class: Pairs (correct, total) for each class.
        when: Which validation the table shows, for its title; empty for an evaluation.
        others: The other measures of each class, to print after the accuracy.
    """
    pairs = list(enumerate(per_class))
    suffix = f" ({when})" if when else ""
    title = f"By class{suffix}:"
    if len(pairs) > MOST_CLASSES:
        title = f"The {MOST_CLASSES} worst of {len(pairs)} classes{suffix}:"
        with_images = [pair for pair in pairs if pair[1][1]]
        pairs = sorted(with_images, key=lambda pair: (pair[1][0] / pair[1][1], -pair[1][1]))
        pairs = pairs[:MOST_CLASSES]
    names = [short_name(classes[index]) for index, _ in pairs]
    width = max(map(cell_len, names), default=0)
    none = "no validation images" if when else "no images"
    accuracies = [accuracy_words(*counts) if counts[1] else none for _, counts in pairs]
    longest = max(map(len, accuracies), default=0)
    lines = [title]
    for name, accuracy, (index, _) in zip(names, accuracies, pairs, strict=True):
        other = f"{'':{longest - len(accuracy)}}  {others[index]}" if others else ""
        lines.append(f"  {set_cell_size(name, width)}  {accuracy}{other}")
    return lines


def _plan_sentence(plan: Plan) -> str:
    phases = ", then ".join(f"{phase.name} from epoch {phase.epoch} on" for phase in plan.phases)
    return f"Plan {plan.name}: {phases}."


def _fold_sentence(fold: FoldValidated) -> str:
    sentence = (
        f"Fold {fold.fold} of {fold.folds}: {accuracy_words(fold.correct, fold.total)}; "
        f"loss {loss_text(fold.loss)}; {fold.steps} steps in {format_duration(fold.seconds)}"
    )
    return f"{sentence}, features cached up to {fold.cached}." if fold.cached else f"{sentence}."


def _trainable_text(stack: StackInfo, trainable: Collection[int]) -> str:
    if not trainable:
        return "nothing trains"
    names = names_of(stack, trainable, 3)
    return f"{names.text} {'train' if names.plural else 'trains'}"


def _because(why: str) -> str:
    return f" ({why})" if why else ""

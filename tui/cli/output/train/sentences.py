"""A run in words, a line each: for logs, pipes, and above a progress bar.

Class names, paths and notes are anything that a folder may be called; `printable` stands between
them and a terminal.
"""

from __future__ import annotations

import shlex
import statistics
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from tl_tui.common.metrics import accuracy_words, share_words
from tl_tui.protocol.events import (
    AnyEvent,
    CheckpointSaved,
    CrossValidationEnded,
    CycleBegan,
    FoldValidated,
    ImageSkipped,
    MaskPlanned,
    PlanChanged,
    StepNotApplied,
    StepTaken,
    TrainEnded,
    Validated,
)
from tl_tui.protocol.layers import StackInfo
from tl_tui.protocol.session import Plan, SessionOpened
from tl_tui.runs.journal_writer import runs_directory
from tui.app.config_from_state import mask_names
from tui.cli.output.train.run_summary import RunSummary
from tui.drawing.lines import fitted
from tui.text.format import format_duration, format_loss
from tui.text.layer_names import names_of

MOST_CLASSES = 10
"""Beyond, only the worst are listed."""
NAME_CELLS = 40


def printable(text: str) -> str:
    """A line that no terminal takes for anything but text: control characters as escapes."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def reach_summary(step: StepTaken) -> str:
    """Such as `3 updated, 1 passed, 6 unreached`; empty if the step was not measured."""
    counts = Counter(row.reach for row in step.rows)
    return ", ".join(
        f"{counts[reach]} {reach}" for reach in ("updated", "passed", "unreached") if counts[reach]
    )


def place(story: RunSummary, step: StepTaken) -> str:
    """Such as `epoch 3/10 step 48/160`."""
    if story.to_step is None:
        return f"epoch {step.epoch} step {step.step}"
    return f"epoch {step.epoch}/{story.epochs} step {step.step}/{story.to_step}"


def opening_words(session: SessionOpened) -> list[str]:
    """What is trained, on what, where, and for how long."""
    owners = session.stack.owners
    trains = sum(owners[owner].params for owner in session.wanted)
    lines = [
        f"{session.arch}, {session.weights} weights, {session.data}: {len(session.classes)} "
        f"classes, {session.train_images} + {session.val_images} images; {session.device}; "
        f"{trains:,} of {sum(owner.params for owner in owners):,} parameters train"
    ]
    if session.plan is not None:
        lines.append(_plan_words(session.plan))
    return [*lines, *session.notes]


def event_sentence(story: RunSummary, event: AnyEvent) -> list[str]:
    """What there is to say of an event beside steps and skipped images; the story knows it."""
    stack = story.session.stack
    match event:
        case Validated(yardstick=False):
            return [validation_words(story.session, event)]
        case CheckpointSaved(name="journal"):
            return [event.failure]
        case CheckpointSaved() if event.failure:
            return [f"The checkpoint {event.name} could not be saved: {event.failure}"]
        case PlanChanged(plan=None):
            return [f"The plan has been left{_because(event.why)}."]
        case PlanChanged() if event.plan is not None:
            return [_plan_words(event.plan)]
        case MaskPlanned():
            trains = _trains(stack, event.trainable)
            return [f"From step {story.steps + 1} on {trains}{_because(event.why)}."]
        case CycleBegan() if event.why != story.mask_why:
            steps = event.cycle.steps
            return [f"The schedule begins anew, over {steps} steps{_because(event.why)}."]
        case FoldValidated():
            return [_fold_words(event)]
        case CrossValidationEnded():
            return folds_words(event)
        case StepNotApplied():
            return [event.sentence, *_going_on(story.session, event)]
        case TrainEnded(reason="failed"):
            return [f"Training failed at step {event.step}."]
    return []


def resume_line(session: SessionOpened, event: StepNotApplied) -> str:
    """The command that goes on with a run of which a step could not be applied."""
    run = _name(session)
    if event.trainable is not None:
        names = mask_names(session.stack, event.trainable)
        return f"tl-tui resume {run} --trainable {','.join(names)}"
    return f"tl-tui resume {run}" if event.memory else f"tl-tui resume {run} --checkpoint best"


def _name(session: SessionOpened) -> str:
    """The run as a command names it: alone if it lies where runs do, else with its path."""
    path = Path(session.run_dir)
    return shlex.quote(path.name if path.parent == runs_directory() else str(path))


def _going_on(session: SessionOpened, event: StepNotApplied) -> list[str]:
    if not event.step:  # of a cross-validation, which is no run to go on with
        return []
    how = "with what should fit" if event.trainable is not None else "when there is more memory"
    if not event.memory:
        how = "from the best weights so far"
    return [f"`{resume_line(session, event)}` goes on {how}."]


def skipped_words(event: ImageSkipped) -> list[str]:
    """Which image was left out, and if no other is left of its class."""
    lines = [f"Left out {event.path}: {event.reason}"]
    return [*lines, event.lost_class] if event.lost_class else lines


def validation_words(session: SessionOpened, result: Validated) -> str:
    """The validation with its interval, and beside it what chance and the majority would get."""
    majority = majority_share(session, result)
    words = (
        f"Epoch {result.epoch}, validation: {accuracy_words(result.correct, result.total)}; "
        f"chance {share_words(1 / len(session.classes))}, majority {share_words(majority)} "
        f"({short(session.classes[session.majority_class])}); loss {format_loss(result.loss)}."
    )
    if result.best:
        words += " Best so far."
    if result.skipped_images:
        one = result.skipped_images == 1
        words += f" {result.skipped_images} image{' is' if one else 's are'} left out."
    return words


def majority_share(session: SessionOpened, result: Validated) -> float:
    """What always guessing the most frequent class of the validation images gets, 0 to 1."""
    if result.per_class and result.total:
        return max(total for _, total in result.per_class) / result.total
    return session.majority / session.val_images


def folds_words(event: CrossValidationEnded) -> list[str]:
    """Mean and spread over the folds, and all images pooled: each was validated once."""
    if not event.accuracies:
        return ["Not one fold came to its end."]
    mean = share_words(statistics.fmean(event.accuracies))
    count = len(event.accuracies)
    lines = []
    if event.reason != "done":
        lines.append(f"Cross-validation ended early: {count} of {event.folds} folds.")
    if count > 1:
        spread = statistics.stdev(event.accuracies)
        lines.append(f"{count} folds: mean accuracy {mean}, spread {spread:.3f} (one deviation).")
    lines.append(f"All folds together: {accuracy_words(event.correct, event.total)}.")
    return lines


def last_words(story: RunSummary) -> list[str]:
    """What the last measured step did, as the screen's caption says it, and the classes."""
    from tui.text.caption import caption_of

    lines = [caption_of(story.session.stack, story.measured)] if story.measured else []
    if story.step and not story.validation:
        lines.append("Nothing was validated: not one validation image can be read.")
    return [*lines, *class_lines(story.session.classes, story.best or story.validation)]


def parting_words(story: RunSummary) -> list[str]:
    """What to say of a run that did not come to its end."""
    if story.session is not None and not story.step:
        return ["Ended before the first step was done; there is nothing to keep."]
    lines = [f"Ended after step {story.steps}, before all was done."]
    if (last := story.checkpoints.get("last")) is not None:
        lines.append(f"`tl-tui resume {_name(story.session)}` goes on from step {last.step}.")
    return lines


def where_words(story: RunSummary) -> list[str]:
    """Where the checkpoints and the run are: paths, to be copied in one piece."""
    lines = [
        f"{name.capitalize()} checkpoint, after step {saved.step}: {saved.path}"
        for name, saved in sorted(story.checkpoints.items())
        if name in ("best", "last")
    ]
    if story.step:
        last = story.checkpoints.get("last")
        if last is None:
            lines.append("No checkpoint was saved: the weights are lost.")
        elif last.step < story.steps:
            lines.append(f"What came after step {last.step} was not saved.")
    if not (story.step or story.folds or story.validation):
        return []
    return [*lines, f"Run: {story.session.run_dir}"]


def class_lines(classes: Sequence[str], result: Validated | None) -> list[str]:
    """A validation's accuracy of every class, or of the worst ten."""
    if result is None or not result.per_class:
        return []
    when = f"{'best ' if result.best else ''}validation, epoch {result.epoch}"
    return class_table(classes, result.per_class, when)


def class_table(
    classes: Sequence[str], per_class: Sequence[tuple[int, int]], when: str
) -> list[str]:
    """The accuracy of every class, or of the worst ten.

    Args:
        classes: Their names.
        per_class: (correct, total) of each.
        when: Which validation it is of, in words; empty if that is plain.
    """
    pairs = list(zip(classes, per_class, strict=True))
    of = f" ({when})" if when else ""
    title = f"By class{of}:"
    if len(pairs) > MOST_CLASSES:
        title = f"The {MOST_CLASSES} worst of {len(pairs)} classes{of}:"
        known = [pair for pair in pairs if pair[1][1]]
        pairs = sorted(known, key=lambda pair: (pair[1][0] / pair[1][1], -pair[1][1]))
        pairs = pairs[:MOST_CLASSES]
    names = [short(name) for name, _ in pairs]
    width = max(map(cell_len, names), default=0)
    none = "no validation images" if when else "no images"
    return [
        title,
        *(
            f"  {set_cell_size(name, width)}  {accuracy_words(*counts) if counts[1] else none}"
            for name, (_, counts) in zip(names, pairs, strict=True)
        ),
    ]


def _plan_words(plan: Plan) -> str:
    phases = ", then ".join(f"{phase.name} from epoch {phase.epoch} on" for phase in plan.phases)
    return f"Plan {plan.name}: {phases}."


def _fold_words(fold: FoldValidated) -> str:
    words = (
        f"Fold {fold.fold} of {fold.folds}: {accuracy_words(fold.correct, fold.total)}; "
        f"loss {format_loss(fold.loss)}; {fold.steps} steps in {format_duration(fold.seconds)}"
    )
    return f"{words}, features kept up to {fold.cached}." if fold.cached else f"{words}."


def _trains(stack: StackInfo, trainable: Collection[int]) -> str:
    if not trainable:
        return "nothing trains"
    names = names_of(stack, trainable, 3)
    return f"{names.text} {'train' if names.plural else 'trains'}"


def _because(why: str) -> str:
    return f" ({why})" if why else ""


def short(name: str) -> str:
    """A class's name, printable, in at most 40 cells."""
    return fitted(printable(name), NAME_CELLS)

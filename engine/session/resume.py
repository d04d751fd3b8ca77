"""Resuming a run from one of its checkpoints."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from engine.data.batch_order import BatchOrder, Cursor
from engine.data.decoding import UnreadableImage, read_rgb
from engine.data.samples import printable
from engine.model import freezing
from engine.session.context import describe_images
from engine.training.checkpoint import Checkpoint
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import ResumeRun
from tl_tui.protocol.config import Recipe
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.layers import NormMode
from tl_tui.protocol.session import Cycle, HistorySent, Plan, StartCurves
from tl_tui.protocol.training import CheckpointSaved, Validated
from tl_tui.runs.journal_writer import CHECKPOINTS, engine_identity
from tl_tui.runs.run_reader import Run as RunFolder
from tl_tui.runs.run_reader import read_run

if TYPE_CHECKING:
    from engine.session.run import Run

MOST_POINTS = 2000
"""The number of points per curve that is sent, approximately; longer curves are thinned."""


def resume_run(run: Run, command: ResumeRun, saved: Checkpoint) -> tuple[AnyEvent, ...]:
    """Restore a run from a checkpoint and reopen its journal.

    State is restored by parameter name. The next steps are those that the run would have taken
    had it not been interrupted.

    Args:
        run: A run that was opened from the run's own `config.json`, before its first step.
        command: The command to resume.
        saved: The checkpoint.

    Returns:
        The events to emit after `SessionOpened`: the curves so far, and the checkpoint.

    Raises:
        Problem: the checkpoint does not fit the model or the classes, requested layers do not
            exist, or the run is past the requested epochs.
    """
    context, progress, metadata = run.context, run.progress, saved.about
    stack, trainer = context.stack, context.trainer
    if list(context.event.classes) != metadata["classes"]:
        raise Problem(
            f"{context.event.data} has the classes {_shorten(context.event.classes)}, but the run "
            f"was trained on {_shorten(metadata['classes'])}; name its own folder with --data."
        )
    own = {name: tensor.shape for name, tensor in trainer.tensors()}
    theirs = {name: tensor.shape for name, tensor in saved.snapshot.tensors.items()}
    if wrong := [name for name in own if theirs.get(name) != own[name]]:
        raise Problem(
            f"The checkpoint {command.checkpoint} does not fit {context.event.arch}: {wrong[0]} "
            f"{'is missing' if wrong[0] not in theirs else 'has another shape'}."
        )
    requested = _requested_mask(run, command)
    plan = msgspec.convert(metadata["plan"], Plan | None)
    _exclude_unreadable(run, metadata.get("unreadable", ()))
    cursor = _cursor_of(run, saved)
    if command.epochs is not None:
        position = cursor.epoch * trainer.batches.batches_per_epoch + cursor.number
        _check_epochs(
            command, position, progress.batches_per_epoch, plan if not requested else None
        )
    folder = read_run(run.journal.path)
    run.journal.reopen()
    run.on_run_dir(run.journal.path)

    if metadata["weights"] != run.starts.current.weights:
        run.starts.current = run.starts.random_weights()
    recipe = msgspec.convert(metadata["recipe"], Recipe)
    trainer.set_recipe(recipe)
    trainer.rates = tuple(metadata["rates"][row.name] for row in stack.rows)
    trainer.restore(replace(saved.snapshot, cursor=cursor))
    progress.start, progress.step = metadata["start"], metadata["step"]
    progress.total_steps = max(1, metadata["step"])
    progress.first_loss = _first_loss(folder, progress.start)
    progress.recipe = recipe
    progress.wanted = freezing.select(stack, metadata["wanted"])
    progress.follow(plan)
    progress.cycle = msgspec.convert(metadata["cycle"], Cycle)
    progress.left_in_epoch, progress.batches_per_epoch = _epoch_length(run, metadata)
    modes: dict[str, NormMode] = metadata.get("norm_modes", {})
    run.settings.resume(
        strategy=metadata.get("strategy"),
        norm_modes={i: modes[o.name] for i, o in enumerate(stack.owners) if o.name in modes},
    )
    best = msgspec.convert(metadata["best"], Validated | None)
    run.validation.resume(best, attempted=metadata.get("validated", False))
    run.start_overs.reset_comparisons(saved.snapshot.tensors)
    run.checkpointing.resumed_from(command.checkpoint)
    notes = [f"Goes on after step {progress.step:,}, from its checkpoint {command.checkpoint}."]
    notes += _changed_images(run, folder)
    if requested is not None:
        notes.append(_optimizer_state_sentence(run, requested[0]))
    # This line of the journal stands for the checkpoint's state; requested changes follow it.
    run.journal.note(
        "resumed",
        start=progress.start,
        step=progress.step,
        checkpoint=command.checkpoint,
        engine=engine_identity(),
        notes=notes,
    )
    run.settings.adapt_to_epochs()
    shift = trainer.batches.position - progress.step
    if requested is not None:
        if progress.plan is not None:
            run.settings.leave_plan("other layers were requested")
        progress.wanted, run.settings.strategy = requested
    if command.epochs is not None:
        run.settings.set_recipe(msgspec.structs.replace(recipe, epochs=command.epochs))
        run.settings.end_cycle_at(command.epochs * progress.batches_per_epoch - shift)
    context.event = msgspec.structs.replace(
        context.event,
        start=progress.start,
        step=progress.step,
        recipe=trainer.recipe,
        rates=trainer.rates,
        batches_per_epoch=progress.batches_per_epoch,
        epoch_shift=shift,
        cycle=progress.cycle,
        plan=progress.plan,
        trainable=tuple(sorted(progress.wanted)),
        strategy=progress.strategy_of(progress.wanted),
        norm_modes=dict(run.settings.norm_modes),
        notes=tuple(notes),
    )
    checkpoint = CheckpointSaved(
        name=command.checkpoint,
        path=str(run.journal.path / CHECKPOINTS / f"{command.checkpoint}.safetensors"),
        start=progress.start,
        step=progress.step,
    )
    return _history(folder, progress.start, progress.step), checkpoint


def _exclude_unreadable(run: Run, paths: Collection[str]) -> None:
    """Leave out the images that the run could not read, except those that can be read now."""
    batches, known = run.trainer.batches, frozenset(paths)
    found: dict[int, str] = {}
    for index, sample in enumerate(batches.samples if known else ()):
        if index not in batches.unreadable and printable(sample.path) in known:
            try:
                read_rgb(sample.path)
            except UnreadableImage as error:
                found[index] = printable(str(error))
    batches.exclude(found)


def _nominal_length(run: Run) -> int:
    """Return the steps per epoch if all images could be read, as tl-tui 0.1.0 counted them."""
    batches = run.trainer.batches
    return BatchOrder(batches.samples, batches.batch_size, batches.seed, ()).batches_per_epoch


def _cursor_of(run: Run, saved: Checkpoint) -> Cursor:
    """Return the position of the next batch, also of a checkpoint of tl-tui 0.1.0."""
    batches = run.trainer.batches
    if "cursor" in saved.about:
        return saved.snapshot.cursor
    epoch, number = divmod(saved.about["position"], _nominal_length(run))
    return batches.order.cursor_at(epoch, number * batches.batch_size)


def _epoch_length(run: Run, metadata: dict[str, Any]) -> tuple[int, int]:
    """Return what the checkpoint's schedule assumes: the steps left in its epoch, and per epoch."""
    if "batches_per_epoch" in metadata:
        return metadata["left_in_epoch"], metadata["batches_per_epoch"]
    nominal = _nominal_length(run)
    return nominal - metadata["position"] % nominal, nominal


def _history(folder: RunFolder, last_start: int, step: int) -> HistorySent:
    """Return the curves of a run up to a step of a start."""
    curves = []
    for start in folder.starts:
        if start.start > last_start:
            continue
        if start.start == last_start:
            start.cut_after(step)
        stride = -(-len(start.losses) // MOST_POINTS) or 1
        curves.append(
            StartCurves(
                start=start.start,
                weights=start.weights,
                losses=tuple(start.losses[::stride]),
                validations=tuple(
                    (line.step, line.correct, line.total, float(line.loss))
                    for line in start.validations
                ),
            )
        )
    return HistorySent(starts=tuple(curves))


def _first_loss(folder: RunFolder, number: int) -> float | None:
    """Return the loss of the first step of a start; None if the journal does not have it."""
    losses = [start.losses[0] for start in folder.starts if start.start == number and start.losses]
    return losses[0][1] if losses and losses[0][0] == 1 else None


def _check_epochs(command: ResumeRun, step: int, batches_per_epoch: int, plan: Plan | None) -> None:
    assert command.epochs is not None
    if plan is not None:
        raise Problem(
            f"--epochs {command.epochs}: the run follows the plan {plan.name}, which has its own "
            "epochs; use --steps instead, or leave the plan with --strategy."
        )
    if command.epochs * batches_per_epoch <= step:
        raise Problem(
            f"--epochs {command.epochs}: the run has already taken {step:,} steps, at "
            f"{batches_per_epoch:,} per epoch; give the number of epochs of the whole run."
        )


def _requested_mask(run: Run, command: ResumeRun) -> tuple[freezing.Mask, str | None] | None:
    """Return the mask in the command and the name of its strategy; None if there is none."""
    stack = run.context.stack
    if command.strategy is None and command.trainable is None:
        return None
    if command.trainable is not None:
        return freezing.select(stack, command.trainable), None
    named = freezing.strategies(stack)
    if command.strategy not in named:
        raise Problem(f"--strategy {command.strategy}: choose one of {', '.join(named)}.")
    return named[command.strategy], command.strategy


def _optimizer_state_sentence(run: Run, mask: freezing.Mask) -> str:
    """Say how much of the optimizer state is kept with another mask."""
    stack, state = run.context.stack, run.trainer.optimizer.state()
    names = run.trainer.optimizer.names
    trained = [names[p] for owner in mask for p in stack.owners[owner].parameters]
    kept = sum(name in state for name in trained)
    dropped = sorted(set(state) - set(trained))
    sentence = f"Optimizer state: kept for {kept} of the {len(trained)} tensors that train"
    if kept < len(trained):
        sentence += ", made anew for the others"
    return f"{sentence}, dropped for {_shorten(dropped)}." if dropped else f"{sentence}."


def _changed_images(run: Run, folder: RunFolder) -> list[str]:
    """Return a note if the images have changed since the run began; else nothing."""
    before = folder.config.get("images", {})
    now = describe_images(run.context.folder)
    if not before or before == now:
        return []
    return [
        f"The images have changed since the run began ({before['train']:,} + {before['val']:,} "
        f"then, {now['train']:,} + {now['val']:,} now). The batches differ from those of an "
        "uninterrupted run, and results are not comparable with earlier ones."
    ]


def _shorten(names: list[str] | tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3:,} more"

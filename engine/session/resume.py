"""A run goes on from one of its checkpoints: everything by name, as if it had never stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from engine.model import freezing
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
"""Of a curve that is told; what lies between them is left out."""


def resume_run(run: Run, command: ResumeRun, saved: Checkpoint) -> tuple[AnyEvent, ...]:
    """Put a run that was just opened where a checkpoint stands, and its journal in its hand.

    Args:
        run: Opened with `run_folder.reopening`; nothing was done with it yet.
        command: What was asked for.
        saved: The checkpoint.

    Returns:
        What is to be told behind `SessionOpened`: the curves so far, and where it is saved.

    Raises:
        Problem: the checkpoint does not belong to this model or these classes, there are no such
            layers, or the run is past the epochs asked for.
    """
    context, progress, about = run.context, run.progress, saved.about
    stack, trainer = context.stack, context.trainer
    if list(context.event.classes) != about["classes"]:
        raise Problem(
            f"{context.event.data} has the classes {_some(context.event.classes)}, and the run was "
            f"trained on {_some(about['classes'])}; name its own folder with --data."
        )
    own = {name: tensor.shape for name, tensor in trainer.tensors()}
    theirs = {name: tensor.shape for name, tensor in saved.snapshot.tensors.items()}
    if wrong := [name for name in own if theirs.get(name) != own[name]]:
        raise Problem(
            f"The checkpoint {command.checkpoint} does not fit {context.event.arch}: {wrong[0]} "
            f"{'is missing' if wrong[0] not in theirs else 'has another shape'}."
        )
    asked = _asked_mask(run, command)
    plan = msgspec.convert(about["plan"], Plan | None)
    if command.epochs is not None:
        _check_epochs(
            command, about["step"], progress.batches_per_epoch, plan if not asked else None
        )
    folder = read_run(run.journal.path)
    run.journal.reopen()
    run.on_run_dir(run.journal.path)

    if about["weights"] != run.starts.origin.weights:
        run.starts.origin = run.starts.scratch()
    recipe = msgspec.convert(about["recipe"], Recipe)
    trainer.set_recipe(recipe)
    trainer.rates = tuple(about["rates"][row.name] for row in stack.rows)
    trainer.restore(saved.snapshot)
    progress.start, progress.step = about["start"], about["step"]
    progress.steps_ever = max(1, about["step"])
    progress.recipe = recipe
    progress.wanted = freezing.select(stack, about["wanted"])
    progress.follow(plan)
    progress.cycle = msgspec.convert(about["cycle"], Cycle)
    modes: dict[str, NormMode] = about.get("norm_modes", {})
    run.settings.resume(
        strategy=about.get("strategy"),
        norm_modes={i: modes[o.name] for i, o in enumerate(stack.owners) if o.name in modes},
    )
    best = msgspec.convert(about["best"], Validated | None)
    run.validation.resume(best, tried=about.get("validated", False))
    run.start_overs.begin_from(saved.snapshot.tensors)
    run.checkpointing.resumed(command.checkpoint)
    notes = [f"Goes on after step {progress.step:,}, from its checkpoint {command.checkpoint}."]
    notes += _changed_images(run, folder)
    if asked is not None:
        notes.append(_kept_state(run, asked[0]))
    # What changes now is journalled behind this line, which stands for the checkpoint's own state.
    run.journal.note(
        "resumed",
        start=progress.start,
        step=progress.step,
        checkpoint=command.checkpoint,
        engine=engine_identity(),
        notes=notes,
    )
    if asked is not None:
        if progress.plan is not None:
            run.settings.leave_plan("other layers were asked for")
        progress.wanted, run.settings.strategy = asked
    if command.epochs is not None:
        run.settings.set_recipe(msgspec.structs.replace(recipe, epochs=command.epochs))
        run.settings.end_at(command.epochs * progress.batches_per_epoch)
    context.event = msgspec.structs.replace(
        context.event,
        start=progress.start,
        step=progress.step,
        recipe=trainer.recipe,
        rates=trainer.rates,
        cycle=progress.cycle,
        plan=progress.plan,
        trainable=tuple(sorted(progress.wanted)),
        strategy=progress.strategy_of(progress.wanted),
        norm_modes=dict(run.settings.norm_modes),
        notes=tuple(notes),
    )
    where = CheckpointSaved(
        name=command.checkpoint,
        path=str(run.journal.path / CHECKPOINTS / f"{command.checkpoint}.safetensors"),
        start=progress.start,
        step=progress.step,
    )
    return history(folder, progress.start, progress.step), where


def history(folder: RunFolder, start: int, step: int) -> HistorySent:
    """The curves of a run up to a step of a start."""
    told = []
    for one in folder.starts:
        if one.start > start:
            continue
        if one.start == start:
            one.cut_after(step)
        every = -(-len(one.losses) // MOST_POINTS) or 1
        told.append(
            StartCurves(
                start=one.start,
                weights=one.weights,
                losses=tuple(one.losses[::every]),
                validations=tuple(
                    (line.step, line.correct, line.total, float(line.loss))
                    for line in one.validations
                ),
            )
        )
    return HistorySent(starts=tuple(told))


def _check_epochs(command: ResumeRun, step: int, batches_per_epoch: int, plan: Plan | None) -> None:
    assert command.epochs is not None
    if plan is not None:
        raise Problem(
            f"--epochs {command.epochs}: the run follows the plan {plan.name}, which has its own "
            "epochs; say --steps, or leave the plan with --strategy."
        )
    if command.epochs * batches_per_epoch <= step:
        raise Problem(
            f"--epochs {command.epochs}: the run has taken {step:,} steps already, and "
            f"{batches_per_epoch:,} are an epoch; the number is of the whole run."
        )


def _asked_mask(run: Run, command: ResumeRun) -> tuple[freezing.Mask, str | None] | None:
    """The mask that was asked for, and the strategy that it is; None if none was."""
    stack = run.context.stack
    if command.strategy is None and command.trainable is None:
        return None
    if command.trainable is not None:
        return freezing.select(stack, command.trainable), None
    named = freezing.strategies(stack)
    if command.strategy not in named:
        raise Problem(f"--strategy {command.strategy}: choose one of {', '.join(named)}.")
    return named[command.strategy], command.strategy


def _kept_state(run: Run, mask: freezing.Mask) -> str:
    """What of the optimizer's state is of use for another mask."""
    stack, state = run.context.stack, run.trainer.optimizer.state()
    names = run.trainer.optimizer.names
    trains = [names[p] for owner in mask for p in stack.owners[owner].parameters]
    kept = sum(name in state for name in trains)
    dropped = sorted(set(state) - set(trains))
    said = f"Optimizer state: kept for {kept} of the {len(trains)} tensors that train"
    if kept < len(trains):
        said += ", made anew for the others"
    return f"{said}, dropped for {_some(dropped)}." if dropped else f"{said}."


def _changed_images(run: Run, folder: RunFolder) -> list[str]:
    """That the images are not those of before, if so: their order is another one too."""
    before = folder.config.get("images", {})
    now = run.context.images()
    if not before or before == now:
        return []
    return [
        f"The images have changed since ({before['train']:,} + {before['val']:,} then, "
        f"{now['train']:,} + {now['val']:,} now), so the batches are other ones than without the "
        "interruption, and results may not be compared with those before."
    ]


def _some(names: list[str] | tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3:,} more"

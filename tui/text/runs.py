"""A run as texts and as plain data: for lists, for the page of one run, and for programs."""

from __future__ import annotations

import statistics
import time
from typing import Any

from tl_tui.common.metrics import accuracy_words, interval, share_words
from tl_tui.connect.discovery import RunningEngine
from tl_tui.runs.continuing import how_to_continue
from tl_tui.runs.journal_lines import ValidatedLine
from tl_tui.runs.run_reader import (
    FoldsHistory,
    Run,
    StartHistory,
    written_elsewhere,
)
from tui.text.format import format_bytes, format_loss

WINDOW = 5
"""The number of steps over which the loss at the beginning and at the end is averaged."""


def run_as_json(run: Run) -> dict[str, Any]:
    """Return a run as `runs --json` writes it, one object per run."""
    config = run.config
    return {
        "name": run.name,
        "path": str(run.path),
        "state": run.state,
        "format": config.get("format"),
        "arch": config.get("arch"),
        "weights": config.get("weights"),
        "data": data_of(run),
        "classes": config.get("classes"),
        "start": run.starts[-1].start,
        "steps": run.steps,
        "starts": len(run.starts),
        "best": best_of(run.best),
        "cross_validation": _folds_of(run.folds),
        "bytes": run.bytes,
        "changed": run.changed,
        "checkpoints": {name: str(path) for name, path in run.checkpoints.items()},
        "torn_lines": run.torn,
    }


def best_of(best: ValidatedLine | None) -> dict[str, Any] | None:
    """Return the best validation with accuracies from 0 to 1; None if nothing was validated."""
    if best is None or not best.total:
        return None
    return {
        "start": best.start,
        "step": best.step,
        "epoch": best.epoch,
        "accuracy": best.correct / best.total,
        "correct": best.correct,
        "total": best.total,
        "interval": interval(best.correct, best.total),
        "loss": float(best.loss),
    }


def _folds_of(folds: FoldsHistory | None) -> dict[str, Any] | None:
    """Return the last cross-validation with accuracies from 0 to 1; None if there was none."""
    if folds is None:
        return None
    shares, total = folds.accuracies, folds.total
    return {
        "folds": folds.folds,
        "done": len(folds.results),
        "accuracies": shares,
        "mean": statistics.fmean(shares) if shares else None,
        "spread": statistics.stdev(shares) if len(shares) > 1 else None,
        "accuracy": folds.correct / total if total else None,
        "correct": folds.correct,
        "total": total,
        "interval": interval(folds.correct, total) if total else None,
        "reason": folds.reason or None,
    }


def data_of(run: Run) -> str:
    """Return the data that a run was trained on: a folder, a file of labels, or the demo."""
    return str(run.config.get("data") or run.config.get("labels") or "the demo: hot dog or not")


def result_text(run: Run) -> str:
    """Return the best validation, such as `71 of 80, .89 (.80 to .94)`; or else the accuracy over
    all folds, such as `5 folds, .87 (.75 to .93)`; a dash if nothing was validated."""
    best, folds = run.best, run.folds
    if best and best.total:
        return accuracy_words(best.correct, best.total)
    if folds is None or not folds.total:
        return "–"
    done, (low, high) = len(folds.results), interval(folds.correct, folds.total)
    count = f"{done}" if done == folds.folds else f"{done} of {folds.folds}"
    share = share_words(folds.correct / folds.total)
    return f"{count} folds, {share} ({share_words(low)} to {share_words(high)})"


def date_text(changed: float) -> str:
    """Return date, hour and minute in local time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(changed))


def run_page(run: Run) -> list[tuple[str, str]]:
    """Return the page of one run as (label, value) pairs."""
    config = run.config
    recipe = config.get("recipe", {})
    lines = [
        ("run", str(run.path)),
        ("state", _state_text(run)),
        ("model", f"{config.get('arch')}, {config.get('weights')} weights"),
        ("data", f"{data_of(run)}, {len(config.get('classes', []))} classes"),
        (
            "recipe",
            f"{recipe.get('optimizer')}, rate {recipe.get('lr_head')} of the head and "
            f"{recipe.get('lr_pretrained')} of the rest, {recipe.get('schedule')}, "
            f"batch {config.get('batch_size')}, {config.get('image_size')} px, "
            f"seed {config.get('seed')}",
        ),
        ("device", f"{config.get('device')}, torch {config.get('torch')}"),
    ]
    for start in run.starts:
        if start.losses or (len(run.starts) == 1 and run.folds is None):
            lines.append((f"start {start.start}", _start_text(start)))
    if run.best is not None:
        position = f"start {run.best.start}, step {run.best.step:,}, epoch {run.best.epoch}"
        words = accuracy_words(run.best.correct, run.best.total)
        lines.append(("best", f"{words}, {position}"))
    if run.folds is not None:
        lines += _folds_lines(run.folds)
    for name, path in run.checkpoints.items():
        lines.append((f"{name}", f"{path} ({format_bytes(path.stat().st_size)})"))
    if run.torn:
        lines.append(("journal", f"{run.torn} of its lines are damaged and are left out"))
    return lines


def _start_text(start: StartHistory) -> str:
    """Return the steps of a start, its loss over as many first as last steps, and a validation."""
    losses = [loss for _, loss in start.losses]
    text = f"{len(losses):,} step{'' if len(losses) == 1 else 's'}"
    window = min(WINDOW, len(losses) // 2)
    if window > 1:
        first, last = (
            format_loss(statistics.fmean(part)) for part in (losses[:window], losses[-window:])
        )
        text += f", mean loss {first} in the first {window}, {last} in the last {window}"
    elif window:
        first, last = format_loss(losses[0]), format_loss(losses[-1])
        text += f", loss {first} in the first, {last} in the last"
    elif losses:
        text += f", loss {format_loss(losses[0])}"
    if start.validations:
        last_validation = start.validations[-1]
        text += f"; validated {accuracy_words(last_validation.correct, last_validation.total)}"
    return f"{text} (from {start.weights} weights)"


def _folds_lines(folds: FoldsHistory) -> list[tuple[str, str]]:
    """Return the lines of a cross-validation: each fold, and all together."""
    lines = [
        (
            f"fold {fold.fold}",
            f"{accuracy_words(fold.correct, fold.total)}, loss {format_loss(float(fold.loss))}, "
            f"{fold.steps:,} steps",
        )
        for fold in folds.results
    ]
    shares = folds.accuracies
    text = f"{len(folds.results)} of {folds.folds}"
    if folds.total:
        text += f": {accuracy_words(folds.correct, folds.total)} all together"
    if len(shares) > 1:
        text += (
            f"; mean accuracy {share_words(statistics.fmean(shares))}, spread "
            f"{statistics.stdev(shares):.3f} (one standard deviation)"
        )
    return [*lines, ("folds", text)]


def _state_text(run: Run) -> str:
    """Return a run's state with what to do about it, its date and its size."""
    folds_only = run.folds is not None and not any(start.losses for start in run.starts)
    resume = how_to_continue(run.path)
    text = {
        "running": "running: an engine is training it",
        "idle": "idle: an engine has it open and waits",
        "done": "done: it reached the requested number of steps",
        "paused": f"paused: {resume}",
        "cut off": f"cut off: its engine ended without closing it; {resume}",
    }[run.state]
    if folds_only and run.folds is not None:
        done = f"{len(run.folds.results)} of {run.folds.folds} folds are done"
        text = {"running": "running: an engine is cross-validating it", "idle": text}.get(
            run.state, f"{run.state}: {done}"
        )
    elif run.state == "running" and run.folds is not None and not run.folds.reason:
        text = "running: an engine is cross-validating it"
    elsewhere = written_elsewhere(run.path)
    if run.state == "cut off" and elsewhere is not None:
        text = (
            f"cut off, or open in an engine on {elsewhere.host}: its journal was not closed, and "
            "only that host knows whether the engine still runs"
        )
    return f"{text} ({date_text(run.changed)}, {format_bytes(run.bytes)})"


def describe_engine(engine: RunningEngine) -> str:
    """Return a line for the list of engines: what it trains and how far it is."""
    greeted = engine.greeted
    state = "trains" if greeted.training else "waits"
    steps = "1 step" if greeted.step == 1 else f"{greeted.step:,} steps"
    screens = f" · {greeted.screens} screen{'s' * (greeted.screens > 1)}" * bool(greeted.screens)
    return f"{greeted.arch} · {greeted.data} · {steps} · {state}{screens}"

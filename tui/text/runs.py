"""A run as texts and as plain data: for lists, for the page of one run, and for programs."""

from __future__ import annotations

import time
from typing import Any

from tl_tui.common.metrics import accuracy_words, interval
from tl_tui.connect.discovery import RunningEngine
from tl_tui.runs.continuing import how_to_continue
from tl_tui.runs.run_reader import (
    Run,
    ValidatedLine,
)
from tui.text.format import format_bytes


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


def data_of(run: Run) -> str:
    """Return the data that a run was trained on: a folder, a file of labels, or the demo."""
    return str(run.config.get("data") or run.config.get("labels") or "the demo: hot dog or not")


def best_text(run: Run) -> str:
    """Such as `71 of 80, .89 (.80 to .94)`; a dash if nothing was validated."""
    best = run.best
    return accuracy_words(best.correct, best.total) if best and best.total else "–"


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
        if not start.losses and len(run.starts) > 1:
            continue
        text = f"{len(start.losses):,} steps"
        if start.losses:
            tail = [loss for _, loss in start.losses[-5:]]
            text += f", loss {start.losses[0][1]:.3f} at first, {sum(tail) / len(tail):.3f} at last"
        if start.validations:
            last = start.validations[-1]
            text += f"; validated {accuracy_words(last.correct, last.total)}"
        lines.append((f"start {start.start}", f"{text} (from {start.weights} weights)"))
    if run.best is not None:
        position = f"start {run.best.start}, step {run.best.step:,}, epoch {run.best.epoch}"
        lines.append(("best", f"{best_text(run)}, {position}"))
    for name, path in run.checkpoints.items():
        lines.append((f"{name}", f"{path} ({format_bytes(path.stat().st_size)})"))
    if run.torn:
        lines.append(("journal", f"{run.torn} of its lines are damaged and are left out"))
    return lines


def _state_text(run: Run) -> str:
    state = {
        "running": "running: an engine is writing to it",
        "done": "done: it reached the requested number of steps",
        "paused": "paused",
        "cut off": "cut off: its engine ended without closing it",
    }[run.state]
    if run.state in ("paused", "cut off"):
        state += f"; {how_to_continue(run.path)}"
    return f"{state} ({date_text(run.changed)}, {format_bytes(run.bytes)})"


def describe_engine(engine: RunningEngine) -> str:
    """Return a line for the list of engines: what it trains and how far it is."""
    greeted = engine.greeted
    state = "trains" if greeted.training else "waits"
    steps = "1 step" if greeted.step == 1 else f"{greeted.step:,} steps"
    screens = f" · {greeted.screens} screen{'s' * (greeted.screens > 1)}" * bool(greeted.screens)
    return f"{greeted.arch} · {greeted.data} · {steps} · {state}{screens}"

"""A run in words and in plain types: for lists, for one run's page, for programs."""

from __future__ import annotations

import time
from typing import Any

from tl_tui.common.metrics import accuracy_words, interval
from tl_tui.connect.discovery import RunningEngine
from tl_tui.runs.run_reader import (
    Run,
    ValidatedLine,
)


def run_as_json(run: Run) -> dict[str, Any]:
    """A run as `runs --json` writes it, an object a run."""
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
    """The best validation, accuracies from 0 to 1; None if nothing was validated."""
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
    """What it was trained on: the folder, or the demo."""
    return str(run.config.get("data") or run.config.get("labels") or "the demo: hot dog or not")


def best_words(run: Run) -> str:
    """Such as `71 of 80, .89 (.80 to .94)`; a dash if nothing was validated."""
    best = run.best
    return accuracy_words(best.correct, best.total) if best and best.total else "–"


def size_words(count: int) -> str:
    """Such as `4 kB`, `91 MB`, `1.2 GB`; decimal units."""
    if count < 1e6:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def when_words(changed: float) -> str:
    """The day and the minute, in local time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(changed))


def run_page(run: Run) -> list[tuple[str, str]]:
    """One run's page: (what, value) pairs."""
    config = run.config
    recipe = config.get("recipe", {})
    lines = [
        ("run", str(run.path)),
        ("state", _state_words(run)),
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
    for one in run.starts:
        if not one.losses and len(run.starts) > 1:
            continue
        words = f"{len(one.losses):,} steps"
        if one.losses:
            tail = [loss for _, loss in one.losses[-5:]]
            words += f", loss {one.losses[0][1]:.3f} at first, {sum(tail) / len(tail):.3f} at last"
        if one.validations:
            last = one.validations[-1]
            words += f"; validated {accuracy_words(last.correct, last.total)}"
        lines.append((f"start {one.start}", f"{words} (from {one.weights} weights)"))
    if run.best is not None:
        place = f"start {run.best.start}, step {run.best.step:,}, epoch {run.best.epoch}"
        lines.append(("best", f"{best_words(run)}, {place}"))
    for name, path in run.checkpoints.items():
        lines.append((f"{name}", f"{path} ({size_words(path.stat().st_size)})"))
    if run.torn:
        lines.append(("journal", f"{run.torn} of its lines were cut off and are left out"))
    return lines


def _state_words(run: Run) -> str:
    words = {
        "running": "running: an engine writes it now",
        "done": "done: it came to the end that was asked for",
        "paused": "paused: tl-tui resume goes on",
        "cut off": "cut off: its engine was killed; tl-tui resume goes on from its last checkpoint",
    }
    return f"{words[run.state]} ({when_words(run.changed)}, {size_words(run.bytes)})"


def describe_engine(found: RunningEngine) -> str:
    """A line of the list: what it trains and how far it is."""
    greeted = found.greeted
    state = "trains" if greeted.training else "waits"
    steps = "1 step" if greeted.step == 1 else f"{greeted.step:,} steps"
    screens = f" · {greeted.screens} screen{'s' * (greeted.screens > 1)}" * bool(greeted.screens)
    return f"{greeted.arch} · {greeted.data} · {steps} · {state}{screens}"

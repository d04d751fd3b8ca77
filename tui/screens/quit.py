"""Leaving, when there is something to leave: let the run go on, pause it, or end it."""

from __future__ import annotations

from pathlib import Path

from tui.drawing.theme import Glyphs, Palette
from tui.screens.choice_dialog import Choice, ChoiceDialog
from tui.state.run_state import RunState
from tui.text.progress import epoch_text

KEPT_MINUTES = 30
"""How long an engine without a screen and without work stays (`engine.server.server.IDLE_S`)."""


class QuitDialog(ChoiceDialog):
    """Asked once steps were taken; dismissed with `go on`, `pause`, `batch` or `end`, or None."""

    def __init__(self, state: RunState, appearance: tuple[Palette, Glyphs], last: str = "") -> None:
        """
        Args:
            state: What is known.
            appearance: Colours and characters.
            last: The answer of last time, where the cursor stands.
        """
        steps = sum(curve.loss[-1][0] for curve in state.curves if curve.loss)
        taken = "1 step was" if steps == 1 else f"{steps:,} steps were"
        now = f"It is training, {epoch_text(state)}. " if state.running else ""
        if state.running:
            stay = [
                Choice(("d",), "let it go on; tl-tui attach comes back to it", "go on"),
                Choice(("p",), "pause it and keep it open for tl-tui attach", "pause"),
            ]
        else:
            kept = f"keep it open for tl-tui attach, {KEPT_MINUTES} minutes"
            stay = [Choice(("d",), kept, "go on")]
        batch = []
        if job := in_job(state):
            now += f"Left alone it ends with SLURM job {job}. "
            batch = [Choice(("b",), "end it, and write the sbatch script that goes on", "batch")]
        answers = [
            *stay,
            *batch,
            Choice(("q", "y"), "end it; tl-tui resume goes on from the weights", "end"),
            Choice(("escape", "n"), "stay", ""),
        ]
        cursor = next((n for n, answer in enumerate(answers) if answer.value == last), 0)
        super().__init__(
            "Leave?",
            f"{now}{taken} taken. {where_the_weights_are(state)}",
            answers,
            appearance,
            cursor,
        )


def in_job(state: RunState) -> str:
    """The SLURM job that the engine ends with; empty outside of one."""
    return state.greeted.job if state.greeted else ""


def worth_keeping(state: RunState) -> bool:
    """Something was trained that the engine still holds."""
    return state.phase != "dead" and (state.running or any(curve.loss for curve in state.curves))


def parting_words(state: RunState, does: str, host: str = "") -> str:
    """Where the run is that was left, and how to come back to it; some lines.

    Args:
        state: What was known last.
        does: What it does without this screen: `go on`, `pause`, or `stays` with another one.
        host: Where its engine is, if that is another machine.
    """
    name = Path(state.session.run_dir).name if state.session else "the run"
    goes = "is kept open"
    if does == "stays":
        goes = "stays with its other screen"
    elif state.running:
        goes = "goes on without its screen" if does == "go on" else "pauses, and is kept open"
    place = f" --host {host}" if host else ""
    attach, stop = f"tl-tui attach{place} {name}", f"tl-tui stop{place} {name}"
    lines = [f"{name} {goes}{f' on {host}' if host else ''}.", f"  {attach}   comes back to it"]
    return "\n".join([*lines, f"  {stop.ljust(len(attach))}   ends it"])


def where_the_weights_are(state: RunState) -> str:
    """Which file holds the weights as they are, or will once the engine has ended."""
    directory = state.session.run_dir if state.session else ""
    last = state.training.checkpoints.get("last")
    if last is not None and last.failure:
        return f"The weights could not be saved: {last.failure} The journal is in {directory}."
    if last is not None and (last.start, last.step) == (state.curves[-1].start, state.step):
        return f"The weights are in {last.path}, the journal beside them."
    return f"The engine saves the weights as it ends, as `last` in {directory}, by the journal."

"""The dialog for quitting: continue the run without a screen, pause it, or end it."""

from __future__ import annotations

from pathlib import Path

from tui.drawing.theme import Glyphs, Palette
from tui.screens.choice_dialog import Choice, ChoiceDialog
from tui.state.moment import moment_of
from tui.state.run_state import RunState
from tui.text.progress import epoch_text

KEPT_MINUTES = 30
"""Minutes after which an idle engine without clients ends (`engine.server.server.IDLE_S`)."""


class QuitDialog(ChoiceDialog):
    """A dialog that returns `go on`, `pause`, `batch`, `end`, an empty string (stay) or None."""

    def __init__(self, state: RunState, appearance: tuple[Palette, Glyphs], last: str = "") -> None:
        """
        Args:
            state: The state of the run.
            appearance: Colours and characters.
            last: The answer of the last time, selected at first.
        """
        status, answers = _question(state)
        cursor = next((n for n, answer in enumerate(answers) if answer.value == last), 0)
        super().__init__("Leave?", status, answers, appearance, cursor)

    def show(self, state: RunState) -> None:
        """Ask the question again if the run has changed; called after every event."""
        if state.phase == "dead":
            self.dismiss(None)  # there is nothing left to keep
            return
        sentence, answers = _question(state)
        if (sentence, answers) != (self.sentence, self.answers):
            selected = self.answers[self.cursor].value
            self.sentence, self.answers = sentence, answers
            self.cursor = next((n for n, a in enumerate(answers) if a.value == selected), 0)
            self._layout_box()


def _question(state: RunState) -> tuple[str, list[Choice]]:
    """Return what is said of the run, and the answers."""
    steps = sum(curve.loss[-1][0] for curve in state.curves if curve.loss)
    steps_text = "1 step was taken." if steps == 1 else f"{steps:,} steps were taken."
    status = f"Training is running, {epoch_text(state)}. " if state.running else ""
    if state.running:
        detach = [
            Choice(("d",), "continue without a screen; tl-tui attach returns to it", "go on"),
            Choice(("p",), "pause, and keep the run open for tl-tui attach", "pause"),
        ]
    else:
        text = f"keep the run open for tl-tui attach, for {KEPT_MINUTES} minutes"
        detach = [Choice(("d",), text, "go on")]
    batch = []
    if job := slurm_job(state):
        status += f"The run ends with SLURM job {job}. "
        batch = [Choice(("b",), "end it, and write an sbatch script that resumes it", "batch")]
    answers = [
        *detach,
        *batch,
        Choice(("q", "y"), "end it; tl-tui resume continues from its weights", "end"),
        Choice(("escape", "n"), "cancel", ""),
    ]
    return f"{status}{steps_text} {weights_location_text(state)}", answers


def slurm_job(state: RunState) -> str:
    """Return the id of the SLURM job in which the engine runs; empty outside of a job."""
    return state.greeted.job if state.greeted else ""


def worth_keeping(state: RunState) -> bool:
    """Return whether the engine holds something that was trained."""
    return state.phase != "dead" and (state.running or any(curve.loss for curve in state.curves))


def parting_words(state: RunState, does: str, host: str = "") -> str:
    """Return lines that say what the run does now and how to return to it.

    Args:
        state: The last known state of the run.
        does: What the run does without this screen: `go on`, `pause`, or `stays` if another screen
            is open.
        host: The host of the engine, if it is another machine.
    """
    name = Path(state.session.run_dir).name if state.session else "the run"
    status = "is kept open"
    if does == "stays":
        status = "stays open on its other screen"
    elif state.running:
        status = "continues without a screen" if does == "go on" else "is paused and kept open"
    option = f" --host {host}" if host else ""
    attach, stop = f"tl-tui attach{option} {name}", f"tl-tui stop{option} {name}"
    lines = [f"{name} {status}{f' on {host}' if host else ''}.", f"  {attach}   returns to it"]
    return "\n".join([*lines, f"  {stop.ljust(len(attach))}   ends it"])


def weights_location_text(state: RunState) -> str:
    """Say which file holds the current weights, or will hold them once the engine has ended."""
    directory = state.session.run_dir if state.session else ""
    last = state.training.checkpoints.get("last")
    if last is not None and last.failure:
        return f"The weights could not be saved: {last.failure} The journal is in {directory}."
    if last is not None and moment_of(last) == state.now:
        return f"The weights are in {last.path}, the journal in {directory}."
    return f"When the engine ends, it saves the weights as `last` in {directory}, with the journal."

"""The lines below the panels: the meaning of the bricks, and the settings of the run."""

from __future__ import annotations

from tl_tui.common.metrics import interval
from tl_tui.protocol.training import CheckpointSaved
from tui.drawing.lines import Line, Piece, justified, line_width
from tui.state.run_state import RunState
from tui.text.moments import age_text
from tui.text.progress import epoch_text, schedule_position
from tui.widgets.state_lines import StateLines


class Legend(StateLines):
    """The meaning of the bricks: edges show the mask, the middle shows the last measured step."""

    def lines(self, state: RunState) -> list[Line]:
        glyphs = self.glyphs
        solid, shade = (glyphs.solid * 2, "trainable"), (glyphs.shade * 2, "frozen")
        updated, passed = glyphs.updated, glyphs.passed
        bricks: list[tuple[list[Piece], str]] = [
            ([solid, (updated * 3, "gradient"), solid], "learns"),
            ([shade, (f"{passed} {passed}", "gradient"), shade], "passes"),
            ([(glyphs.shade * 7, "frozen")], "not reached"),
            ([solid, (f"{updated} {updated}", "gradient"), shade], "part"),
        ]
        pieces: list[Piece] = []
        for brick, word in bricks:
            pieces += [("   ", "text"), *brick, (f" {word}", "text")]
        left = [("edges: your choice · middle: what the step did", "text")]
        if line_width(left) + line_width(pieces) + 2 > self.size.width + 1:
            left = [("your choice · the step", "text")]
        return [justified(left, pieces, self.size.width)]


class RunLine(StateLines):
    """The run's directory, settings and checkpoints, and the interval of the last validation."""

    def lines(self, state: RunState) -> list[Line]:
        session = state.session
        if session is None or state.provisional:
            return []
        parts = [
            f"run {session.run_dir.rstrip('/').rpartition('/')[2]}",
            f"seed {session.seed}",
            {"sgd": "SGD", "adamw": "AdamW"}[state.training.recipe.optimizer]
            if state.training.recipe
            else "",
            f"batch {session.batch_size}",
        ]
        if state.step:
            parts.append(epoch_text(state))
        if schedule := schedule_position(state).text:
            parts.append(f"rates {schedule}")
        if state.skipped_images:
            images = "image" if state.skipped_images == 1 else "images"
            parts.append(f"{state.skipped_images} {images} skipped")
        checkpoints = current_checkpoints(state)
        saved = [(name, saved.step) for name, saved in checkpoints if not saved.failure]
        if saved:
            parts.append(f"saved {', '.join(f'{name} at {step}' for name, step in saved)}")
        if state.validated and state.validated.total:
            correct, total = state.validated.correct, state.validated.total
            low, high = interval(correct, total)
            when = age_text(state.validated, state.now)
            at = f" at {when}" if when else ""
            parts.append(f"{correct} of {total}{at} means {low:.2f} to {high:.2f}")
        if session.weights_reason and state.training.weights == session.weights:
            parts.append(session.weights_reason)
        return [justified([(" · ".join(parts), "dim")], [], self.size.width)]


def current_checkpoints(state: RunState) -> list[tuple[str, CheckpointSaved]]:
    """Return the best and the last checkpoint of this start, as (name, event)."""
    start = state.now.start
    return [
        (name, saved)
        for name, saved in state.training.checkpoints.items()
        if saved.start == start and name in ("best", "last")
    ]

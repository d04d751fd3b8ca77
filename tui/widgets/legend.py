"""Below the panels: what the bricks mean, and which run this is."""

from __future__ import annotations

import math

from tui.state import RunState
from tui.widgets.painted_lines import Line, PaintedLines, Piece, justified, line_width


class Legend(PaintedLines):
    """Edges are the choice, the middle is what the last measured step did."""

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


class RunLine(PaintedLines):
    """The run's directory and settings, and how sure the yardstick is."""

    def lines(self, state: RunState) -> list[Line]:
        session = state.session
        if session is None or state.provisional:
            return []
        parts = [
            f"run {session.run_dir.rstrip('/').rpartition('/')[2]}",
            f"seed {session.seed}",
            session.optimizer,
            f"batch {session.batch_size}",
        ]
        if state.last:
            parts.append(f"epoch {state.last.epoch}")
        if state.skipped_images:
            images = "image" if state.skipped_images == 1 else "images"
            parts.append(f"{state.skipped_images} {images} skipped")
        if state.validated and state.validated.total:
            correct, total = state.validated.correct, state.validated.total
            low, high = wilson(correct, total)
            parts.append(f"{correct} of {total} means {low:.2f} to {high:.2f}")
        if session.weights_why:
            parts.append(session.weights_why)
        return [justified([(" · ".join(parts), "dim")], [], self.size.width)]


def wilson(correct: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share, 0 to 1.

    Reference:
        Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    z, share = 1.96, correct / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    half /= 1 + z * z / total
    return max(0.0, middle - half), min(1.0, middle + half)

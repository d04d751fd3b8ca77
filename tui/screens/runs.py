"""All runs: what came of each, the curves of two beside each other, and one to go on with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tl_tui.runs.journal_reader import RunProblem
from tl_tui.runs.run_reader import Run, StartHistory, list_runs
from tui.drawing.decimation import Decimation
from tui.drawing.lines import Line, Piece, line, wrapped
from tui.drawing.plot import Scale, Series, plot, short
from tui.drawing.sanitize import padded, sanitize
from tui.drawing.theme import Glyphs, Palette
from tui.screens.full_screen import Body, FullScreen
from tui.state.run_state import RunState
from tui.text.runs import best_words, data_of, size_words, when_words

LEAST_PLOT = 5
"""Lines that a plot needs."""


class RunsScreen(FullScreen):
    """Enter goes on with a run, space marks one to compare the others with."""

    name_shown = "runs"

    def __init__(
        self,
        state: RunState,
        appearance: tuple[Palette, Glyphs],
        *,
        own: str,
        go_on: Callable[[Run], None],
    ) -> None:
        """
        Args:
            state: What is known.
            appearance: Colours and characters.
            own: The directory of the run that is on the screen.
            go_on: Leaves this run and goes on with another.
        """
        self.runs: list[Run] | None = None
        self.unreadable = 0
        self.cursor = 0
        self.marked: Path | None = None
        self._own, self._go_on = own, go_on
        super().__init__(state, appearance)

    def on_mount(self) -> None:
        super().on_mount()
        self.run_worker(self._read())

    async def _read(self) -> None:
        found = await asyncio.to_thread(lambda: list(list_runs()))
        self.runs = [one for one in found if not isinstance(one, RunProblem)]
        self.unreadable = len(found) - len(self.runs)
        self.redraw()

    # --- what it says ---------------------------------------------------------------------------

    def aside(self, state: RunState) -> str:
        if self.runs is None:
            return ""
        more = f", {self.unreadable} cannot be read" if self.unreadable else ""
        count = len(self.runs)
        return f"{count:,} run{'' if count == 1 else 's'}{more}"

    def heading(self, state: RunState, width: int) -> list[Line]:
        return [()]

    def content(self, state: RunState, width: int, height: int) -> Body:
        if not self.runs:
            words = (
                "The runs are being read."
                if self.runs is None
                else "There are no runs yet: a first step, or tl-tui train, begins one."
            )
            return Body([line(f"  {part}") for part in wrapped(words, width - 4, 3)], 0, _nothing)
        room = max(3, height - max(LEAST_PLOT + 3, height // 2))
        first = max(0, min(self.cursor - room // 2, len(self.runs) - room))
        shown = [
            self._row(number, width) for number in range(first, min(len(self.runs), first + room))
        ]
        return Body([*shown, *self._below(width, height - len(shown))], 0, _nothing)

    def _row(self, number: int, width: int) -> Line:
        assert self.runs is not None
        run = self.runs[number]
        here = self.glyphs.cursor if number == self.cursor else " "
        mark = "*" if run.path == self.marked else " "
        style = "strong" if str(run.path) == self._own else "text"
        pieces: list[Piece] = [
            (f" {here}{mark} ", "text"),
            (padded(self.glyphs.text(sanitize(run.name)), min(34, max(14, width - 57))), style),
            (f" {run.state:<8}", "dim"),
            (f"{run.steps:>8,} steps  ", "text"),
            (self.glyphs.text(best_words(run)), "text"),
        ]
        return tuple(pieces)

    def _below(self, width: int, height: int) -> list[Line]:
        """The run under the cursor: what it was, and its curve."""
        assert self.runs is not None
        run = self.runs[self.cursor]
        where = f"{run.config.get('arch')}, {run.config.get('weights')} weights · {data_of(run)}"
        about = f"{where} · {when_words(run.changed)} · {size_words(run.bytes)}"
        text = self.glyphs.text(sanitize(about))
        lines: list[Line] = [(), *[line(("  " + p, "dim")) for p in wrapped(text, width - 4, 2)]]
        left = height - len(lines)
        if left < LEAST_PLOT:
            return lines
        series = []
        other = next((one for one in self.runs if one.path == self.marked), None)
        last = max(r.steps for r in (run, other) if r is not None)
        if other is not None and other is not run:
            series += _series(other, 1, other.name[:16], last)
        series += _series(run, 0, "this", last)
        if not series:
            return [*lines, line(("  It has taken no step yet.", "dim"))]
        scale = Scale.around([value for one in series for _, value in one.points])
        drawn = plot(series, width - 4, left - 1, scale=scale, plain=self.glyphs.plain)
        title = "  training loss, the last start of each"
        return [*lines, line((title, "dim")), *[((("  ", "text")), *one) for one in drawn]]

    def keys(self) -> list[tuple[str, str]]:
        if not self.runs:
            return []
        return [("Enter", "go on with it"), ("space", "compare the others with it")]

    # --- keys -----------------------------------------------------------------------------------

    def pressed(self, key: str) -> bool:
        if not self.runs:
            return False
        moves = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -10, "pagedown": 10}
        moves |= {"home": -len(self.runs), "end": len(self.runs)}
        if key in moves:
            self.cursor = max(0, min(len(self.runs) - 1, self.cursor + moves[key]))
            self.redraw()
        elif key == "space":
            path = self.runs[self.cursor].path
            self.marked = None if self.marked == path else path
            self.redraw()
        elif key == "enter":
            self._enter(self.runs[self.cursor])
        else:
            return False
        return True

    def _enter(self, run: Run) -> None:
        if str(run.path) == self._own:
            self.say("This run is the one on the screen.")
        elif run.state == "running":
            self.say("Another engine writes this run; end that one first.")
        elif "last" not in run.checkpoints:
            self.say("It ended before it had saved a checkpoint; there is nothing to go on from.")
        else:
            self.dismiss(None)
            self._go_on(run)


def _nothing(_: int) -> Line:
    return ()


def _series(run: Run, pattern: int, label: str, last: int) -> list[Series]:
    start: StartHistory = run.starts[-1]
    if not start.losses:
        return []
    decimation = Decimation()
    decimation.take(start.losses)
    points = [(bucket.step, bucket.mean) for bucket in decimation.buckets]
    end = [(float(last), float("nan"))]
    return [Series([*points, *end], pattern, label, short(start.losses[-1][1]))]

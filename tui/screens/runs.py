"""The list of runs: their results, the loss curves of two runs, and a run to resume."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from rich.cells import cell_len

from tl_tui.runs.journal_reader import RunProblem
from tl_tui.runs.run_reader import Run, StartHistory, list_runs
from tui.drawing.decimation import Decimation
from tui.drawing.lines import Line, Piece, line, shorten_middle, wrapped
from tui.drawing.plot import Scale, Series, plot
from tui.drawing.sanitize import padded, sanitize
from tui.drawing.theme import Glyphs, Palette
from tui.screens.full_screen import Body, FullScreen
from tui.state.run_state import RunState
from tui.text.format import format_bytes, format_short
from tui.text.runs import data_of, date_text, result_text

OTHER_COLUMNS = 49
"""The width of the columns beside the name: marks, state, steps and a result."""
MIN_PLOT_LINES = 5
"""The fewest lines in which the curves are drawn."""


class RunsScreen(FullScreen):
    """The list of runs; Enter resumes a run, space marks one to compare others with."""

    title_text = "runs"

    def __init__(
        self,
        state: RunState,
        appearance: tuple[Palette, Glyphs],
        *,
        current: str,
        resume: Callable[[Run], None],
    ) -> None:
        """
        Args:
            state: The state of the run.
            appearance: Colours and characters.
            current: The directory of the run that is open in the app.
            resume: Leaves the current run and resumes another one.
        """
        self.runs: list[Run] | None = None
        """The readable runs, the newest first; None until they are read."""
        self.unreadable = 0
        """The number of runs that cannot be read."""
        self.cursor = 0
        self.marked: Path | None = None
        """The directory of the run that others are compared with."""
        self._current, self._resume = current, resume
        super().__init__(state, appearance)

    def on_mount(self) -> None:
        super().on_mount()
        self.run_worker(self._read())

    async def _read(self) -> None:
        entries = await asyncio.to_thread(lambda: list(list_runs()))
        self.runs = [entry for entry in entries if not isinstance(entry, RunProblem)]
        self.unreadable = len(entries) - len(self.runs)
        self.redraw()

    # --- drawing --------------------------------------------------------------------------------

    def summary_text(self, state: RunState) -> str:
        if self.runs is None:
            return ""
        more = f", {self.unreadable} cannot be read" if self.unreadable else ""
        count = len(self.runs)
        return f"{count:,} run{'' if count == 1 else 's'}{more}"

    def heading(self, state: RunState, width: int) -> list[Line]:
        if not self.runs:
            return [()]
        name = padded("run", self._name_width(width))
        return [line((f"    {name} {'state':<8}{'steps':>8}  best", "dim"))]

    def content(self, state: RunState, width: int, height: int) -> Body:
        if not self.runs:
            text = (
                "Reading the runs."
                if self.runs is None
                else "There are no runs yet. A first step or tl-tui train begins one: Esc goes "
                "back, then t takes a step."
            )
            return Body([line(f"  {part}") for part in wrapped(text, width - 4, 3)], 0, _blank_line)
        room = max(3, height - max(MIN_PLOT_LINES + 3, height // 2))
        first = max(0, min(self.cursor - room // 2, len(self.runs) - room))
        end = min(len(self.runs), first + room)
        rows = [self._row(index, width) for index in range(first, end)]
        return Body([*rows, *self._details(width, height - len(rows))], 0, _blank_line)

    def _row(self, index: int, width: int) -> Line:
        assert self.runs is not None
        run = self.runs[index]
        cursor = self.glyphs.cursor if index == self.cursor else " "
        mark = "*" if run.path == self.marked else " "
        style = "strong" if str(run.path) == self._current else "text"
        name = self._run_name(run)
        name_width = self._name_width(width)
        pieces: list[Piece] = [
            (f" {cursor}{mark} ", "text"),
            (padded(shorten_middle(name, name_width, self.glyphs.ellipsis), name_width), style),
            (f" {run.state:<8}", "dim"),
            (f"{run.steps:>8,}  ", "text"),
            (self.glyphs.text(result_text(run)), "text"),
        ]
        return tuple(pieces)

    def _run_name(self, run: Run) -> str:
        return self.glyphs.text(sanitize(run.name))

    def _name_width(self, width: int) -> int:
        """Return the width of the names: that of the longest, if it leaves room for a result."""
        longest = max(cell_len(self._run_name(run)) for run in self.runs or ())
        return min(longest, max(14, width - OTHER_COLUMNS))

    def _details(self, width: int, height: int) -> list[Line]:
        """Return the settings of the run under the cursor, and its loss curve."""
        assert self.runs is not None
        run = self.runs[self.cursor]
        model = f"{run.config.get('arch')}, {run.config.get('weights')} weights"
        shortened = cell_len(self._run_name(run)) > self._name_width(width)
        parts = [run.name] * shortened
        parts += [model, data_of(run), date_text(run.changed), format_bytes(run.bytes)]
        text = self.glyphs.text(sanitize(" · ".join(parts)))
        lines: list[Line] = [(), *[line(("  " + p, "dim")) for p in wrapped(text, width - 4, 5)]]
        room = height - len(lines)
        if room < MIN_PLOT_LINES:
            return lines
        series = []
        other = next((run for run in self.runs if run.path == self.marked), None)
        last = max(r.steps for r in (run, other) if r is not None)
        if other is not None and other is not run:
            series += _series(other, 1, other.name[:16], last)
        series += _series(run, 0, "this", last)
        if not series:
            return [*lines, line(("  This run has taken no step yet.", "dim"))]
        scale = Scale.around([value for curve in series for _, value in curve.points])
        plain = self.glyphs.plain
        drawn = plot(
            series, width - 4, room - 1, scale=scale, plain=plain, format_value=format_short
        )
        title = "  training loss of the last start of each run"
        return [*lines, line((title, "dim")), *[(("  ", "text"), *row) for row in drawn]]

    def keys(self) -> list[tuple[str, str]]:
        if not self.runs:
            return []
        return [("Enter", "resume it"), ("space", "compare others with it")]

    # --- keys -----------------------------------------------------------------------------------

    def pressed(self, key: str) -> bool:
        if not self.runs:
            return False
        self.message = ""  # it was about the run under the cursor
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
        if str(run.path) == self._current:
            self.say("This run is already open.")
        elif run.state in ("running", "idle"):
            self.say(
                "Another engine is training this run. Stop it first."
                if run.state == "running"
                else "Another engine has this run open. Stop it first."
            )
        elif "last" not in run.checkpoints:
            self.say("This run has no checkpoint, so it cannot be resumed.")
        else:
            self.dismiss(None)
            self._resume(run)


def _blank_line(_: int) -> Line:
    return ()


def _series(run: Run, pattern: int, label: str, last: int) -> list[Series]:
    """Return the loss curve of a run's last start, on an axis that ends at step `last`."""
    start: StartHistory = run.starts[-1]
    if not start.losses:
        return []
    decimation = Decimation()
    decimation.take(start.losses)
    points = [(bucket.step, bucket.mean) for bucket in decimation.buckets]
    end = [(float(last), float("nan"))]
    return [Series([*points, *end], pattern, label, format_short(start.losses[-1][1]))]

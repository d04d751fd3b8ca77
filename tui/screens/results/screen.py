"""The results screen: accuracy with its interval, and tabs for the details."""

from __future__ import annotations

from collections.abc import Callable

from tl_tui.common.metrics import accuracy_words, balanced_accuracy, share_words
from tl_tui.protocol.results import ResultsShown
from tui.drawing.lines import Line, Piece, justified, line, line_width, wrapped
from tui.drawing.theme import Glyphs, Palette
from tui.screens.full_screen import Body, FullScreen, body
from tui.screens.results.classes import Classes
from tui.screens.results.confusion import Confusion
from tui.screens.results.curves import Curves
from tui.screens.results.interval_line import interval_line
from tui.screens.results.measures import MeasuresSection
from tui.screens.results.most_wrong import MostWrong
from tui.screens.results.section import Section
from tui.screens.results.summary import Summary
from tui.state.run_state import RunState


class ResultsScreen(FullScreen):
    """The screen of the last evaluation of all validation images; newer ones replace it."""

    title_text = "results"

    def __init__(
        self,
        state: RunState,
        appearance: tuple[Palette, Glyphs],
        *,
        evaluate: Callable[[], bool],
        pictures: Callable[[], None],
    ) -> None:
        """
        Args:
            state: The state of the run.
            appearance: Colours and characters.
            evaluate: Requests an evaluation; returns False, after a message, if the engine is not
                ready.
            pictures: Shows the most wrong images.
        """
        self.sections: list[Section] = [
            Summary(),
            Confusion(),
            Classes(),
            MeasuresSection(),
            MostWrong(),
            Curves(),
        ]
        self.section = 0
        self._shown: ResultsShown | None = None
        """The results that the sections show."""
        self._offsets = [0] * len(self.sections)
        """The scroll position of each section."""
        self._evaluate, self._pictures = evaluate, pictures
        self._refused = False
        """Whether the engine refused to evaluate."""
        super().__init__(state, appearance)

    # --- drawing --------------------------------------------------------------------------------

    def summary_text(self, state: RunState) -> str:
        results = state.results.results
        if results is None:
            return ""
        start = f"start {results.start} · " if results.start else ""
        return f"{start}step {results.step:,} · epoch {results.epoch:,}"

    def heading(self, state: RunState, width: int) -> list[Line]:
        results = state.results.results
        lines = [self._tabs(width)]
        if results is None:
            return [*lines, ()]
        lines.append(self._headline(results, state, width))
        if state.session is not None and results.total:
            chance = 1 / max(1, len(state.session.classes))
            majority = max(total for _, total in results.per_class) / results.total
            marks = [("m", majority), ("c", chance)]
            text = "c chance and majority" if majority == chance else "c chance, m majority"
            legend: Line = ((f"  {text:<21}", "dim"),) if width >= 70 else ()
            bar = width - 3 - line_width(legend)
            drawn = interval_line(results.correct, results.total, bar, self.glyphs, marks)
            lines.append((("  ", "text"), *drawn, *legend))
        return [*lines, ()]

    def _tabs(self, width: int) -> Line:
        pieces: list[Piece] = [(" ", "text")]
        for number, section in enumerate(self.sections):
            selected = number == self.section
            if width < 60 and not selected:
                continue
            pieces.append(
                (f"[{section.title}]", "chosen") if selected else (f" {section.title} ", "text")
            )
            pieces.append((" ", "text"))
        hint = f"{self.section + 1} of {len(self.sections)}, Tab " if width < 60 else "Tab "
        return justified(pieces, [(hint, "dim")], width)

    def _headline(self, results: ResultsShown, state: RunState, width: int) -> Line:
        left: list[Piece] = [
            ("  accuracy  " if width >= 60 else "  ", "text"),
            (accuracy_words(results.correct, results.total), "strong"),
        ]
        balanced = f"   balanced {share_words(balanced_accuracy(results.per_class))}"
        age = age_text(results, state)
        right: list[Piece] = [(f"{age} ", "alarm" if width >= 60 else "strong")] if age else []
        if line_width([*left, (balanced, "text"), *right]) + 1 <= width:
            left.append((balanced, "text"))
        return justified(left, right, width)

    def content(self, state: RunState, width: int, height: int) -> Body:
        results = state.results.results
        if results is None:
            text = self._why_empty(state)
            return body([line(f"  {part}") for part in wrapped(text, width - 4, 3)])
        if results is not self._shown:
            self._shown = results
            for section in self.sections:
                section.set_results(results, state, self.glyphs)
        return self.sections[self.section].body(width, height)

    def _why_empty(self, state: RunState) -> str:
        """Return why there are no results, and which key leads to some or out."""
        if state.phase == "dead":
            return (
                "There are no results, because the engine stopped before the first evaluation. "
                "Esc goes back, where R starts the engine again."
            )
        if state.phase != "ready":
            return "There are no results yet: the engine is not connected. Esc goes back."
        if self._refused:
            return "The engine did not evaluate. E asks again, Esc goes back."
        return "Evaluating all validation images. This may take a while. Esc goes back meanwhile."

    def refused(self) -> None:
        self._refused = True

    def keys(self) -> list[tuple[str, str]]:
        own = self.sections[self.section].keys
        return [*own, ("E", "evaluate now"), ("Tab", "next")]

    # --- keys -----------------------------------------------------------------------------------

    def pressed(self, key: str) -> bool:
        moves = {"tab": 1, "right": 1, "l": 1, "shift+tab": -1, "left": -1, "h": -1}
        if key in moves:
            self._show_section((self.section + moves[key]) % len(self.sections))
        elif key in ("E", "enter"):
            self._refused = False
            self._evaluate()
        elif key == "v":
            self._pictures()
        elif self._shown is not None and self.sections[self.section].pressed(key):
            self.redraw()
        else:
            return False
        return True

    def _show_section(self, number: int) -> None:
        self._offsets[self.section] = self.offset_line
        self.section = number
        self.offset_line = self._offsets[number]
        self.redraw()


def age_text(results: ResultsShown, state: RunState) -> str:
    """Say how many steps were taken since the evaluation; empty if it is current."""
    if results.start != state.now.start:
        return "from another start"
    steps = state.step - results.step
    if steps > 0:
        return f"{steps:,} step{'' if steps == 1 else 's'} ago"
    return "weights have changed" if results.stale else ""

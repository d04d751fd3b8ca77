"""Reads the main screen without an app: the text of every area, at both usual sizes.

It draws the widgets themselves. What the text means is for the test to decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from textual.geometry import Size

from tui.drawing.lines import Line
from tui.drawing.theme import UNICODE
from tui.screens.main import stack_title
from tui.screens.results.screen import ResultsScreen
from tui.stack.stack_lines import stack_lines
from tui.stack.table_cells import table_cells
from tui.state.cursor import StackCursor
from tui.state.run_state import RunState
from tui.widgets.caption_line import CaptionLine
from tui.widgets.footer import Footer
from tui.widgets.inspector import Inspector
from tui.widgets.legend import RunLine
from tui.widgets.loss_and_accuracy import AccuracyCurve, LossCurve
from tui.widgets.state_lines import StateLines
from tui.widgets.step_cost_panel import StepCostPanel
from tui.widgets.title_line import TitleLine


@dataclass(frozen=True)
class ScreenText:
    """The text of each area of the main screen, with blanks for line ends."""

    title: str
    stack_title: str
    heading: str
    loss: str
    """The line with the loss, above the layers."""
    layers: list[str]
    wall: str
    images: str
    caption: str
    inspector: list[str]
    cost: str
    run: str
    curves: str
    footer: str
    results: list[str] = field(default_factory=list)
    """The first lines of the results screen, if there are results."""


SIZES = {80: Size(80, 24), 120: Size(120, 40)}
_SIZED: dict[tuple[type, Size], type] = {}


def _sized(kind: type, size: Size) -> type:
    """Return a subclass of a widget that has this size without being on a screen."""
    if (kind, size) not in _SIZED:
        _SIZED[kind, size] = type(kind.__name__, (kind,), {"size": size})
    return _SIZED[kind, size]


class ScreenReader:
    """Draws the main screen at one width."""

    def __init__(self, width: int) -> None:
        self.wide = width >= 100
        self.view = StackCursor()

        def made(kind: type, columns: int, lines: int, *arguments: str) -> StateLines:
            return _sized(kind, Size(columns, lines))(*arguments)

        self.stack_width = 80 if self.wide else width
        self.title = made(TitleLine, width, 1)
        self.caption = made(CaptionLine, width - 2, 2)
        self.inspector = made(Inspector, 35, 21) if self.wide else made(Inspector, 38, 5)
        self.cost = made(StepCostPanel, 35, 6)
        self.run = made(RunLine, 400, 1)  # wide enough for all of it
        self.loss = made(LossCurve, 57 if self.wide else 40, 7, "loss")
        self.accuracy = made(AccuracyCurve, 57, 7, "accuracy")
        self.footer = made(Footer, width, 1)

    def read(self, state: RunState) -> ScreenText:
        """Return the text of the screen for a state with a session."""
        self.view.take(state.stack)
        for widget in (self.inspector, self.cost, self.footer):
            widget.target = self.view.cursor  # type: ignore[attr-defined]
        picture = stack_lines(state, self.view, self.stack_width, 14, wide=self.wide)
        by_kind: dict[str, list[str]] = {}
        for line in picture.lines:
            text = _text(table_cells(line, picture.columns, UNICODE, state))
            by_kind.setdefault(line.kind, []).append(text)
        curves = [*self._lines(self.loss, state), *self._lines(self.accuracy, state)]
        return ScreenText(
            title=" ".join(self._lines(self.title, state)),
            stack_title=stack_title(state),
            heading=by_kind["heading"][0],
            loss=by_kind["loss"][0],
            layers=[*by_kind.get("row", []), *by_kind.get("owner", []), *by_kind.get("stage", [])],
            wall=by_kind["wall"][0],
            images=by_kind["images"][0],
            caption=" ".join(self._lines(self.caption, state)),
            inspector=self._lines(self.inspector, state),
            cost="\n".join(self._lines(self.cost, state)),
            run=" ".join(self._lines(self.run, state)),
            curves="\n".join(curves),
            footer=" ".join(self._lines(self.footer, state)),
            results=results_lines(state),
        )

    @staticmethod
    def _lines(widget: StateLines, state: RunState) -> list[str]:
        widget.state = state
        return [_text(line).rstrip() for line in widget.lines(state)]


def results_lines(state: RunState) -> list[str]:
    """Return the first lines of the results screen; none without results."""
    if state.results.results is None:
        return []
    screen = object.__new__(ResultsScreen)  # a screen needs an app, its lines do not
    top = ResultsScreen.summary_text(screen, state)
    line = ResultsScreen._headline(screen, state.results.results, state, 120)
    return [top, _text(line)]


def _text(line: Line) -> str:
    return "".join(text for text, _ in line)

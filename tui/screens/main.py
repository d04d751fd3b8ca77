"""The main screen: the stack, and everything around it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.layout import Layout
from textual.screen import Screen
from textual.widget import Widget

from tui.drawing.lines import Line, line, wrapped
from tui.drawing.main_layout import (
    LEAST_HEIGHT,
    LEAST_WIDTH,
    LayoutRequest,
    MainLayout,
    main_layout,
)
from tui.drawing.theme import Glyphs, Palette
from tui.stack.stack import LayerStack
from tui.state.cursor import Target
from tui.state.run_state import RunState
from tui.text.moments import step_text
from tui.widgets.caption_line import CaptionLine
from tui.widgets.footer import Footer
from tui.widgets.frame import Frame
from tui.widgets.inspector import Inspector
from tui.widgets.legend import Legend, RunLine
from tui.widgets.loading import Loading
from tui.widgets.loss_and_accuracy import AccuracyCurve, LossCurve
from tui.widgets.state_lines import StateLines
from tui.widgets.step_cost_panel import StepCostPanel
from tui.widgets.strategy_line import StrategyLine
from tui.widgets.title_line import TitleLine, WarningLine


class TooSmall(StateLines):
    """The one sentence of a terminal in which nothing else has room."""

    def lines(self, state: RunState) -> list[Line]:
        width, height = self.size
        sentence = (
            f"tl-tui needs {LEAST_WIDTH} × {LEAST_HEIGHT} cells; this terminal has "
            f"{width} × {height}. q leaves."
        )
        return [line(text) for text in wrapped(sentence, width, height)]


class Room(Widget):
    """Holds widgets where `main_layout` puts them."""

    def __init__(self, *inside: Widget) -> None:
        super().__init__(*inside)
        self.arrangement = MainLayout()

    @property
    def layout(self) -> Layout:
        return self.arrangement


class MainScreen(Screen[None]):
    """Gives the state to every widget; holds no truth of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = LayerStack(id="stack")
        self.loading_list = Loading(id="loading")
        self.strategy = StrategyLine(id="strategy")
        self.caption = CaptionLine(id="caption")
        self.inspector = Inspector(id="inspector")
        self.step_cost = StepCostPanel(id="step-cost")
        self.footer = Footer(id="footer")
        self.loss, self.accuracy = LossCurve(id="loss"), AccuracyCurve(id="accuracy")
        self.frames = {
            panel: Frame(id=f"{panel}-frame")
            for panel in ("stack", "inspector", "step-cost", "loss", "accuracy")
        }
        self._painted: list[StateLines] = [
            TitleLine(id="title"),
            WarningLine(id="warning"),
            self.strategy,
            self.loading_list,
            self.caption,
            self.inspector,
            self.step_cost,
            self.loss,
            self.accuracy,
            Legend(id="legend"),
            RunLine(id="run"),
            self.footer,
            TooSmall(id="too-small"),
        ]
        # Later ones are drawn over earlier ones: the panels' content over their frames.
        self.room = Room(*self.frames.values(), self.stack, *self._painted)

    def compose(self) -> ComposeResult:
        yield self.room

    def set_theme(self, palette: Palette, glyphs: Glyphs, monochrome: bool) -> None:
        """Give every widget its colours and characters."""
        for widget in (*self.frames.values(), *self._painted):
            widget.set_theme(palette, glyphs)
        self.stack.set_palette(palette, glyphs, monochrome)

    def show(self, state: RunState) -> None:
        """Show the state as it is now."""
        self._arrange(state)
        if state.session is not None:
            self.stack.show(state)
        self._point()
        for widget in self._painted:
            widget.show(state)
        self.show_titles(state)

    def show_mask(self, state: RunState) -> None:
        """Show what depends on the wanted mask; nothing else of the state has changed."""
        self.stack.show(state)
        self._point()
        for widget in (self.strategy, self.caption, self.inspector, self.step_cost, self.footer):
            widget.show(state)
        self.show_titles(state)

    def follow_cursor(self, state: RunState) -> None:
        """Show what depends on the cursor alone."""
        self._point()
        for widget in (self.inspector, self.step_cost, self.footer):
            widget.show(state)
        self.show_titles(state)

    def _point(self) -> None:
        """Tell what answers for the row under the cursor which that is."""
        cursor = self.stack.view.cursor
        self.inspector.target = self.step_cost.target = self.footer.target = cursor

    def target(self, state: RunState) -> Target | None:
        """What the cursor stands on, if there is a stack."""
        return self.stack.view.cursor if state.session is not None else None

    # --- moving the cursor ----------------------------------------------------------------------

    def action_move(self, lines: int) -> None:
        self.stack.move(lines)

    def action_page(self, pages: int) -> None:
        self.stack.page(pages)

    def action_home(self) -> None:
        self.stack.home()

    def action_end(self) -> None:
        self.stack.end()

    def action_expand(self) -> None:
        self.stack.expand()

    def action_collapse(self) -> None:
        self.stack.collapse()

    def action_toggle_fold(self) -> None:
        self.stack.toggle_fold()

    def action_rates_or_roles(self) -> None:
        self.stack.view.rates = not self.stack.view.rates
        self.stack.redraw()

    def show_rates(self) -> None:
        """Rates were changed: they have a column from here on."""
        self.stack.view.rates = True

    # --- the rest -------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """What a panel says depends on whether it has a frame, and so on the room."""
        if self.caption.state is not None:
            self.call_after_refresh(self.show, self.caption.state)

    def say(self, notice: str) -> None:
        """Show a sentence in place of the caption; an empty string restores the caption."""
        self.caption.notice = notice
        self.caption.redraw()

    def _arrange(self, state: RunState) -> None:
        session = state.session
        request = LayoutRequest(
            stack_lines=len(session.stack.rows) + 4 + len(session.stack.stages) if session else 16,
            warning=bool(session and session.device_warning),
        )
        found = main_layout(*self.size, request)
        framed = "stack-frame" in found
        self.loss.framed = self.accuracy.framed = framed
        self.footer.shows_cost = "inspector" not in found
        self.stack.display = state.session is not None
        self.loading_list.display = state.session is None
        if self.room.arrangement.request != request:
            self.room.arrangement.request = request
            self.room.refresh(layout=True)

    def show_titles(self, state: RunState) -> None:
        replay = self.stack.replay_label() if state.measured else ""
        flow = stack_title(state)
        titles = {
            "stack": f"{flow} · {replay}" if replay else flow,
            "inspector": self.inspector.title or "layer",
            "step-cost": self.step_cost.title,
            "loss": "loss · this run and its earlier starts",
            "accuracy": _accuracy_title(state),
        }
        for panel, title in titles.items():
            frame = self.frames[panel]
            frame.title = title
            frame.show(state)


def stack_title(state: RunState) -> str:
    """Return the title of the stack: what it shows, and the step that it was measured in."""
    if state.measured is None:
        return "gradient flow"
    measured = "" if state.measured_is_last else "measured in "
    return f"gradient flow · {measured}{step_text(state.measured, state.now)}"


def _accuracy_title(state: RunState) -> str:
    if state.session is None:
        return "accuracy"
    if any(curve.full_validation for curve in state.curves):
        return f"accuracy · each epoch on {state.session.val_images:,} validation images"
    return f"accuracy on {state.session.yardstick} fixed validation images"

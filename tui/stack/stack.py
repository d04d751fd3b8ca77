"""The stack widget: tower and table side by side, with cursor, mouse and replay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget

from tl_tui.protocol.training import StepTaken
from tui.drawing.lines import dimmed
from tui.drawing.styles import PaletteStyles
from tui.drawing.theme import UNICODE, Glyphs, Palette
from tui.stack.columns import MARKER, STATE, WIDE, Columns
from tui.stack.layer_table import LayerTable
from tui.stack.replay import FRAMES, Frame, Replay
from tui.stack.stack_lines import Picture, StackLine, stack_lines
from tui.stack.table_cells import table_cells
from tui.stack.tower import Tower
from tui.stack.tower_cells import tower_cells
from tui.state.cursor import StackCursor, Target, target_name
from tui.state.run_state import RunState

WHEEL = 3
"""The number of lines that one notch of the mouse wheel scrolls."""


class LayerStack(Widget):
    """The layer stack. It gets the whole state (`show`) and keeps only the cursor and the folds."""

    DEFAULT_CSS = "LayerStack { layout: horizontal; height: 1fr; }"

    @dataclass
    class CursorMoved(Message):
        """The cursor was moved to another target."""

        target: Target

    @dataclass
    class Toggled(Message):
        """A brick or a state was clicked, which does the same as space."""

        target: Target

    @dataclass
    class ReplayEnded(Message):
        """A replay ended or was stopped."""

        step: StepTaken

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = StackCursor()
        self._state = RunState()
        self._glyphs = UNICODE
        self._tower = Tower()
        self._table = LayerTable()
        self._picture: Picture | None = None
        self._replay: Replay | None = None
        self._label: tuple[StepTaken, str] | None = None
        self._frame: Frame | None = None
        self._started = 0.0
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield self._tower
        yield self._table

    def on_resize(self) -> None:
        self._draw()

    # --- what is shown --------------------------------------------------------------------------

    def show(self, state: RunState) -> None:
        """Show a state and repaint the cells that changed."""
        self._state = state
        self.view.take(state.stack)
        if self._frame is not None and (
            state.measured is None
            or self._replay is None
            or state.measured is not self._replay.step
        ):
            self._stop()
        self._draw()

    def set_palette(self, palette: Palette, glyphs: Glyphs, monochrome: bool) -> None:
        """Change the colours and characters."""
        self._glyphs = glyphs
        styles = PaletteStyles(palette, monochrome)
        self._tower.set_palette_styles(styles)
        self._table.set_palette_styles(styles)
        self._draw()

    def redraw(self) -> None:
        """Draw again after the view was changed from outside."""
        self._draw()

    def _draw(self) -> None:
        width, height = self.size
        if not self.is_mounted or width <= 0 or height <= 0:
            return
        wide = self.app.size.width >= WIDE
        self._picture = stack_lines(self._state, self.view, width, height, wide=wide)
        self.view.offset, self.view.window = self._picture.offset, self._picture.window
        columns = self._picture.columns
        self._tower.styles.width = columns.tower
        lines = [
            table_cells(line, columns, self._glyphs, self._state) for line in self._picture.lines
        ]
        self._table.set_lines([dimmed(line) for line in lines] if self._dim else lines)
        self._draw_tower()

    def _draw_tower(self) -> None:
        if self._picture is None:
            return
        flowed = self._state.measured is not None and any(
            row.reach != "unreached" for row in self._state.measured.rows
        )
        lines = [
            tower_cells(line, self._picture.columns, self._glyphs, flowed=flowed, frame=self._frame)
            for line in self._picture.lines
        ]
        self._tower.set_lines([dimmed(line) for line in lines] if self._dim else lines)

    @property
    def _dim(self) -> bool:
        """Whether the stack comes from the cache because the engine is still loading."""
        return self._state.provisional

    # --- cursor and folds -----------------------------------------------------------------------

    def move(self, n: int) -> None:
        """Move the cursor n lines down, or up if negative."""
        self._moved(lambda: self.view.move(n))

    def home(self) -> None:
        """Move to the layer closest to the loss."""
        self._moved(self.view.home)

    def end(self) -> None:
        """Move to the layer closest to the images."""
        self._moved(self.view.end)

    def page(self, n: int) -> None:
        """Move n windows down, or up if negative."""
        self._moved(lambda: self.view.page(n))

    def expand(self) -> None:  # type: ignore[override] # in Textual a flag for renderables
        """Expand the target under the cursor, or move into it."""
        self._moved(self.view.expand)

    def collapse(self) -> None:
        """Move out of the row or stage that contains the cursor, or fold it."""
        self._moved(self.view.collapse)

    def toggle_fold(self) -> None:
        """Expand or fold the target under the cursor."""
        self._moved(self.view.toggle_fold)

    def find(self, text: str) -> bool:
        """Move to the layer that matches a text best. Return False if none matches."""
        return self._moved(lambda: self.view.find(text))

    def _moved(self, change: Callable[[], bool]) -> bool:
        before = self.view.cursor
        changed = change()
        self._draw()
        if self.view.cursor != before:
            self.post_message(self.CursorMoved(self.view.cursor))
        return changed

    # --- mouse ----------------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        offset = event.screen_offset - self.content_region.offset
        if self._picture is None or not 0 <= offset.y < len(self._picture.lines):
            return
        line, columns = self._picture.lines[offset.y], self._picture.columns
        if line.target is None:
            return
        event.stop()
        target, x = line.target, offset.x - columns.tower
        if line.kind == "header":
            if 0 <= x < columns.name:
                self._moved(lambda: self.view.collapse_stage(target.index))
            return
        self._moved(lambda: self.view.set_cursor(target))
        on_brick = MARKER <= offset.x < MARKER + columns.brick_width
        if on_brick or columns.state <= x < columns.state + STATE:
            self.post_message(self.Toggled(target))
        elif self._on_mark(line, columns, x):
            self._moved(self.view.toggle_fold)

    def _on_mark(self, line: StackLine, columns: Columns, x: int) -> bool:
        """Return whether a cell of the table is the line's fold mark or next to it."""
        stack = self._state.stack
        if stack is None or line.target is None or not self.view.foldable(line.target):
            return False
        if line.kind == "row" and not columns.marks:
            return False
        name = min(len(target_name(stack, line.target)), columns.name - 2)
        return name <= x <= name + 2 and x < columns.name + 1

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._scroll(event, WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._scroll(event, -WHEEL)

    def _scroll(self, event: events.MouseEvent, lines: int) -> None:
        event.stop()
        self.view.scroll(lines)
        self._draw()

    # --- the replay -----------------------------------------------------------------------------

    @property
    def replaying(self) -> bool:
        """Whether a replay is running."""
        return self._timer is not None and self._replay is not None

    def replay(self, step: StepTaken, slower: int = 1) -> None:
        """Show a measured step's backward pass in slow motion.

        Without animation the final state is shown at once.
        """
        self._stop()
        if self._state.stack is None or not step.rows:
            self._draw_tower()
            return
        self._replay = Replay(self._state.stack, step, slower)
        self._label = (step, self._replay.label())
        if self.app.animation_level == "none":
            self._stop()
            self._draw_tower()
            return
        self._started = monotonic()
        self._frame = self._replay.frame(0.0)
        self._timer = self.set_interval(1 / FRAMES, self._tick)
        self._draw_tower()

    def flash(self, step: StepTaken) -> None:
        """Light all reached layers for one frame, for steps in quick succession."""
        self._stop()
        if self._state.stack is not None and step.rows and self.app.animation_level != "none":
            self._replay = Replay(self._state.stack, step)
            self._frame = self._replay.flash()
            self._timer = self.set_timer(1 / FRAMES, self.stop_replay)
        self._draw_tower()

    def stop_replay(self) -> None:
        """End the replay and show its final state."""
        ended = self._replay
        self._stop()
        self._draw_tower()
        if ended is not None:
            self.post_message(self.ReplayEnded(ended.step))

    def replay_label(self) -> str:
        """Return how slow the last replay of this step was; empty if there was none."""
        if self._label is None or self._label[0] is not self._state.measured:
            return ""
        return self._glyphs.text(self._label[1])

    def _tick(self) -> None:
        if self._replay is None:
            return
        elapsed = monotonic() - self._started
        if elapsed >= self._replay.length:
            self.stop_replay()
            return
        self._frame = self._replay.frame(elapsed)
        self._draw_tower()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self._replay = self._frame = None

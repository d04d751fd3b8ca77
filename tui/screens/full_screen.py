"""The base class of full screens: lines of text that follow the state of the run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult

from tui.drawing.lines import (
    Line,
    Piece,
    clipped,
    justified,
    line,
    line_width,
    wrapped,
    wrapped_message,
)
from tui.drawing.main_layout import LEAST_HEIGHT, LEAST_WIDTH
from tui.drawing.sanitize import sanitize
from tui.drawing.theme import Glyphs, Palette
from tui.screens.dialog import Dialog
from tui.state.run_state import RunState
from tui.widgets.state_lines import StateLines


@dataclass(frozen=True)
class Body:
    """The lines between the heading and the keys.

    Scrolling lines are made only when they become visible, so that 10,000 lines cost as much as
    one screenful.
    """

    pinned: list[Line]
    """The lines at the top, which do not scroll."""
    count: int
    """The number of lines that scroll."""
    at: Callable[[int], Line]
    """Returns the scrolling line with this index."""


def body(lines: list[Line]) -> Body:
    """Return a body whose lines all scroll."""
    return Body([], len(lines), lines.__getitem__)


class Drawing(StateLines):
    """The widget that fills a full screen."""

    DEFAULT_CSS = "Drawing { width: 100%; height: 100%; }"

    def __init__(self, draw: Callable[[RunState, int, int], list[Line]]) -> None:
        super().__init__(id="drawing")
        self._draw = draw

    def lines(self, state: RunState) -> list[Line]:
        return self._draw(state, *self.size)

    def on_resize(self) -> None:
        self.redraw()
        if isinstance(self.screen, FullScreen):
            self.screen.first_frame.close()


class FullScreen(Dialog[None]):
    """A screen with a heading, a scrolling body, a message, and a last line for the keys.

    Escape or q closes it.
    """

    DEFAULT_CSS = """
    FullScreen { background: $background; color: $foreground; overflow: hidden hidden; }
    """

    def __init__(self, state: RunState, appearance: tuple[Palette, Glyphs]) -> None:
        """
        Args:
            state: The state of the run; `show` is called again after every event.
            appearance: Colours and characters.
        """
        super().__init__()
        self.state = state
        self.palette, self.glyphs = appearance
        self.message = ""
        self.offset_line = 0
        self.first_frame = ExitStack()
        """Contexts that end when the first frame is drawn."""
        self.character: str | None = ""
        """The character typed by the key that is being handled; empty if it is not printable."""
        self._hidden = 0
        """The number of lines below the window."""
        self.drawing = self.make_drawing()

    def make_drawing(self) -> Drawing:
        """Return the widget that draws the screen."""
        return Drawing(self._lines)

    # --- what subclasses define -----------------------------------------------------------------

    title_text = ""
    """The name of the screen, at the left of the first line."""

    def subject(self, state: RunState) -> str:
        """Return the text after the title: the model and the data."""
        session = state.session
        if session is None:
            return ""
        text = f"{session.arch} · {session.data}, {len(session.classes):,} classes"
        return self.glyphs.text(text)

    def summary_text(self, state: RunState) -> str:
        """Return the text at the right of the first line."""
        return ""

    def heading(self, state: RunState, width: int) -> list[Line]:
        """Return the lines below the first one."""
        return []

    def content(self, state: RunState, width: int, height: int) -> Body:
        """Return the body for `width` by `height` cells."""
        raise NotImplementedError

    def keys(self) -> list[tuple[str, str]]:
        """Return pairs of a key and its description for the last line, most important first."""
        return []

    @property
    def leave_key(self) -> tuple[str, str]:
        """The key that closes the screen, and what it does."""
        return "Esc", "back"

    def refused(self) -> None:
        """Handle the engine's refusal of a request; a message says why."""

    def pressed(self, key: str) -> bool:
        """Handle a key.

        Args:
            key: The key, as Textual names it.

        Returns:
            Whether the key was handled; if not, it may scroll or close the screen.
        """
        return False

    # --- drawing --------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield self.drawing

    def on_mount(self) -> None:
        self.drawing.set_theme(self.palette, self.glyphs)
        self.show(self.state)

    def on_unmount(self) -> None:
        self.first_frame.close()

    def set_theme(self, palette: Palette, glyphs: Glyphs) -> None:
        """Change the colours and characters."""
        self.palette, self.glyphs = palette, glyphs
        self.drawing.set_theme(palette, glyphs)

    def show(self, state: RunState) -> None:
        """Draw the state; called after every event."""
        self.state = state
        self.drawing.show(state)

    def redraw(self) -> None:
        """Draw the current state again, after a key has changed something."""
        self.show(self.state)

    def say(self, message: str) -> None:
        """Show a message above the keys; an empty one removes it."""
        self.message = message
        self.redraw()

    def _lines(self, state: RunState, width: int, height: int) -> list[Line]:
        if width < LEAST_WIDTH or height < LEAST_HEIGHT:
            sentence = (
                f"This screen needs {LEAST_WIDTH} × {LEAST_HEIGHT} cells. Press Escape to go back."
            )
            return [line(text) for text in wrapped(sentence, width, height)]
        name: list[Piece] = [(f" {self.title_text}   ", "strong")]
        top = justified(
            [*name, (self.subject(state), "text")], [(f"{self.summary_text(state)} ", "dim")], width
        )
        head = [top, *self.heading(state, width)]
        room = height - len(head) - len(self._foot(state, width))
        content = self.content(state, width, room)
        window = max(1, room - len(content.pinned))
        self.offset_line = max(0, min(self.offset_line, content.count - window))
        end = min(content.count, self.offset_line + window)
        visible = [content.at(index) for index in range(self.offset_line, end)]
        middle = [*content.pinned, *visible][:room]
        self._hidden = content.count - self.offset_line - len(visible)
        blank: list[Line] = [()] * (room - len(middle))
        return [
            clipped(pieces, width) for pieces in (*head, *middle, *blank, *self._foot(state, width))
        ]

    def _foot(self, state: RunState, width: int) -> list[Line]:
        """Return the message, if there is one, and the keys with what the engine is doing."""
        message: list[str] = []
        if self.message:
            message = wrapped_message(self.glyphs.text(self.message), width - 2, 2)
        position = self.position_text()
        right: list[Piece] = [(position, "dim")] if position else []
        if state.busy is not None:
            busy_text = f" {state.busy.activity}, {state.busy.seconds:.0f} s "
            right = [(busy_text, "strong"), *right]
        leave = _entry(*self.leave_key)
        if line_width([(" ", "text"), *leave, *right]) > width:
            right = []
        left: list[Piece] = [(" ", "text")]
        for key, description in self.keys():
            entry = _entry(key, description)
            if line_width([*left, *entry, *leave, *right]) > width:
                break
            left += entry
        left += leave
        keys = justified(left, right, width) if right else tuple(left)
        return [*(line((f" {text}", "strong")) for text in message), keys]

    def position_text(self) -> str:
        """Return the text at the right of the last line: how many lines are hidden, and where."""
        above, below = self.offset_line, max(0, self._hidden)
        if not (above or below):
            return ""
        arrows = (self.glyphs.above if above else "") + (self.glyphs.below if below else "")
        return f"{arrows} {above + below:,} more "

    def scroll_lines(self, lines: int) -> None:
        """Scroll by `lines` lines; negative scrolls up."""
        self.offset_line = max(0, self.offset_line + lines)
        self.redraw()

    def on_key(self, event: events.Key) -> None:
        event.stop()
        if self._answered:
            return  # the screen is closing
        self.character = event.character if event.is_printable else ""
        if self.pressed(event.key):
            return
        page = max(1, self.drawing.size.height - 6)
        jumps = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page}
        jumps |= {"space": page, "home": -(10**6), "g": -(10**6), "end": 10**6, "G": 10**6}
        if event.key in jumps:
            self.scroll_lines(jumps[event.key])
        elif event.key == "M" and self.message:
            self.call_later(self.run_action, "app.messages")
        elif event.key in ("escape", "q"):
            self.dismiss(None)

    def on_mouse_scroll_down(self) -> None:
        self.scroll_lines(3)

    def on_mouse_scroll_up(self) -> None:
        self.scroll_lines(-3)


def _entry(key: str, description: str) -> list[Piece]:
    return [(key, "chosen"), (f" {description}  ", "text")]


def class_name(state: RunState, index: int, glyphs: Glyphs) -> str:
    """Return the name of a class, with only characters that this terminal can show."""
    classes = state.session.classes if state.session else ()
    name = classes[index] if 0 <= index < len(classes) else f"class {index}"
    return glyphs.text(sanitize(name)) or "''"

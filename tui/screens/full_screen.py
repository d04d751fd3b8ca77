"""A screen of its own over the main one, drawn line by line and live while it is open."""

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
)
from tui.drawing.main_layout import LEAST_HEIGHT, LEAST_WIDTH
from tui.drawing.sanitize import sanitize
from tui.drawing.theme import Glyphs, Palette
from tui.screens.dialog import Dialog
from tui.state.run_state import RunState
from tui.widgets.state_lines import StateLines


@dataclass(frozen=True)
class Body:
    """What stands between the heading and the keys: pinned lines, and others that scroll.

    A line is made when it comes into sight, so that ten thousand cost what a screenful costs.
    """

    pinned: list[Line]
    count: int
    """Lines that scroll."""
    at: Callable[[int], Line]


def body(lines: list[Line]) -> Body:
    """A body of lines that all scroll."""
    return Body([], len(lines), lines.__getitem__)


class Drawing(StateLines):
    """The whole screen's cells."""

    DEFAULT_CSS = "Drawing { width: 100%; height: 100%; }"

    def __init__(self, draw: Callable[[RunState, int, int], list[Line]]) -> None:
        super().__init__(id="drawing")
        self._draw = draw

    def lines(self, state: RunState) -> list[Line]:
        return self._draw(state, *self.size)

    def on_resize(self) -> None:
        self.redraw()
        if isinstance(self.screen, FullScreen):
            self.screen.drawn.close()


class FullScreen(Dialog[None]):
    """Closed by Escape or q. Heading, a body that scrolls, and a line with the keys or a notice."""

    DEFAULT_CSS = """
    FullScreen { background: $background; color: $foreground; overflow: hidden hidden; }
    """

    def __init__(self, state: RunState, appearance: tuple[Palette, Glyphs]) -> None:
        """
        Args:
            state: What is known; the screen is shown it again with every event.
            appearance: Colours and characters.
        """
        super().__init__()
        self.state = state
        self.palette, self.glyphs = appearance
        self.notice = ""
        self.offset_line = 0
        self.drawn = ExitStack()
        """What is held back until there is something to show."""
        self.character: str | None = ""
        """What the key being answered types."""
        self._hidden = 0
        """Lines below the window."""
        self.drawing = self.make_drawing()

    def make_drawing(self) -> Drawing:
        """The widget that draws."""
        return Drawing(self._lines)

    # --- what each screen says ------------------------------------------------------------------

    name_shown = ""
    """The first word of the heading."""

    def subject(self, state: RunState) -> str:
        """Beside the name: what it is about."""
        session = state.session
        if session is None:
            return ""
        text = f"{session.arch} · {session.data}, {len(session.classes):,} classes"
        return self.glyphs.text(text)

    def aside(self, state: RunState) -> str:
        """At the right of the first line."""
        return ""

    def heading(self, state: RunState, width: int) -> list[Line]:
        """Lines under the first one."""
        return []

    def content(self, state: RunState, width: int, height: int) -> Body:
        """The body for so many cells."""
        raise NotImplementedError

    def keys(self) -> list[tuple[str, str]]:
        """(key, word) pairs for the last line, the most important first."""
        return []

    def refused(self) -> None:
        """The engine does not do what the screen asked for; the notice says why."""

    def pressed(self, key: str) -> bool:
        """Answer a key, as Textual names it; False to have it scroll or close."""
        return False

    # --- the rest -------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield self.drawing

    def on_mount(self) -> None:
        self.drawing.set_theme(self.palette, self.glyphs)
        self.show(self.state)

    def on_unmount(self) -> None:
        self.drawn.close()

    def set_theme(self, palette: Palette, glyphs: Glyphs) -> None:
        """Take other colours and characters."""
        self.palette, self.glyphs = palette, glyphs
        self.drawing.set_theme(palette, glyphs)

    def show(self, state: RunState) -> None:
        """Show the state as it is now; called with every event."""
        self.state = state
        self.drawing.show(state)

    def redraw(self) -> None:
        """Show what a key changed."""
        self.show(self.state)

    def say(self, sentence: str) -> None:
        """Show a sentence in the keys' place; empty takes it back."""
        self.notice = sentence
        self.redraw()

    def _lines(self, state: RunState, width: int, height: int) -> list[Line]:
        if width < LEAST_WIDTH or height < LEAST_HEIGHT:
            sentence = f"This needs {LEAST_WIDTH} × {LEAST_HEIGHT} cells; Escape goes back."
            return [line(text) for text in wrapped(sentence, width, height)]
        name: list[Piece] = [(f" {self.name_shown}   ", "strong")]
        top = justified(
            [*name, (self.subject(state), "text")], [(f"{self.aside(state)} ", "dim")], width
        )
        head = [top, *self.heading(state, width)]
        room = height - len(head) - len(self._foot(state, width))
        whole = self.content(state, width, room)
        window = max(1, room - len(whole.pinned))
        self.offset_line = max(0, min(self.offset_line, whole.count - window))
        shown = [
            whole.at(number)
            for number in range(self.offset_line, min(whole.count, self.offset_line + window))
        ]
        middle = [*whole.pinned, *shown][:room]
        self._hidden = whole.count - self.offset_line - len(shown)
        blank: list[Line] = [()] * (room - len(middle))
        whole_screen = [*head, *middle, *blank, *self._foot(state, width)]
        return [clipped(pieces, width) for pieces in whole_screen]

    def _foot(self, state: RunState, width: int) -> list[Line]:
        if self.notice:
            return [line(f" {text}") for text in wrapped(self.notice, width - 2, 2)]
        right: list[Piece] = [(place, "dim")] if (place := self.place()) else []
        if state.busy is not None:
            words = f" {state.busy.activity}, {state.busy.seconds:.0f} s "
            return [justified([(words, "strong")], right, width)]
        left: list[Piece] = [(" ", "text")]
        for key, word in [*self.keys(), ("Esc", "back")]:
            entry: list[Piece] = [(key, "chosen"), (f" {word}  ", "text")]
            if line_width([*left, *entry, *right]) > width:
                break
            left += entry
        return [justified(left, right, width) if right else tuple(left)]

    def place(self) -> str:
        """At the right of the last line: how much is out of sight, and in which direction."""
        above, below = self.offset_line, max(0, self._hidden)
        if not (above or below):
            return ""
        arrows = (self.glyphs.above if above else "") + (self.glyphs.below if below else "")
        return f"{arrows} {above + below:,} more "

    def scroll_lines(self, lines: int) -> None:
        """Scroll by so many lines."""
        self.offset_line = max(0, self.offset_line + lines)
        self.redraw()

    def on_key(self, event: events.Key) -> None:
        event.stop()
        if self._answered:
            return  # typed behind the key that closed it
        self.character = event.character if event.is_printable else ""
        if self.pressed(event.key):
            return
        page = max(1, self.drawing.size.height - 6)
        jumps = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page}
        jumps |= {"space": page, "home": -(10**6), "g": -(10**6), "end": 10**6, "G": 10**6}
        if event.key in jumps:
            self.scroll_lines(jumps[event.key])
        elif event.key in ("escape", "q"):
            self.dismiss(None)

    def on_mouse_scroll_down(self) -> None:
        self.scroll_lines(3)

    def on_mouse_scroll_up(self) -> None:
        self.scroll_lines(-3)


def named(state: RunState, index: int, glyphs: Glyphs) -> str:
    """A class's name as it can be shown in this terminal."""
    classes = state.session.classes if state.session else ()
    name = classes[index] if 0 <= index < len(classes) else f"class {index}"
    return glyphs.text(sanitize(name)) or "''"

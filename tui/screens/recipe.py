"""The recipe: how it trains, every choice of it as a list, and its schedule as a drawing."""

from __future__ import annotations

from collections.abc import Callable

from tl_tui.protocol.config import Recipe
from tui.drawing.lines import Line, Piece, line
from tui.drawing.sanitize import padded
from tui.drawing.schedule_curve import schedule_curve
from tui.drawing.theme import Glyphs, Palette
from tui.screens.full_screen import Body, FullScreen, body
from tui.state.run_state import RunState
from tui.text.recipe_fields import FIELDS, Field, note, parse_value, shown, step_value, words_of

LABEL, VALUE = 26, 12
"""Cells of the first two columns."""
NARROW = 74
"""Cells below which a note stands in a line of its own."""
LEAST_CURVE = 5


class RecipeScreen(FullScreen):
    """Enter trains with it from the next step on, Escape leaves everything as it was."""

    name_shown = "recipe"

    def __init__(
        self, state: RunState, appearance: tuple[Palette, Glyphs], *, take: Callable[[Recipe], None]
    ) -> None:
        """
        Args:
            state: What is known; the session is open.
            appearance: Colours and characters.
            take: Trains with a recipe from now on.
        """
        assert state.session is not None and state.training.recipe is not None
        self.began, self.now = state.session.recipe, state.training.recipe
        self.draft = self.now
        self.cursor = 0
        self.typed: dict[str, str] = {}
        """What stands in fields that hold no good number yet."""
        self.wrong: dict[str, str] = {}
        self._take = take
        super().__init__(state, appearance)

    @property
    def field(self) -> Field:
        return FIELDS[self.cursor]

    def show(self, state: RunState) -> None:
        recipe = state.training.recipe
        if recipe is not None and recipe != self.now:
            if self.draft == self.now:
                self.draft = recipe  # nothing was changed here: what was, elsewhere, is shown
            self.now = recipe
        super().show(state)

    # --- drawing --------------------------------------------------------------------------------

    def aside(self, state: RunState) -> str:
        changed = sum(shown(f, self.draft) != shown(f, self.now) for f in FIELDS)
        return f"{changed} to apply" if changed else ""

    def heading(self, state: RunState, width: int) -> list[Line]:
        return [()]

    def content(self, state: RunState, width: int, height: int) -> Body:
        lines: list[Line] = []
        at = 0
        for number, field in enumerate(FIELDS):
            if number == self.cursor:
                at = len(lines)
            lines += self._rows(field, number == self.cursor, width)
        window = max(1, height)
        self.offset_line = max(min(self.offset_line, at), at - window + 2)
        room = height - len(lines) - 2
        if room >= LEAST_CURVE:
            lines += [(), line(("  the head's rate over the horizon", "text"))]
            lines += self._curve(state, width, min(room, 14))
        return body(lines)

    def _curve(self, state: RunState, width: int, height: int) -> list[Line]:
        training = state.training
        steps = self.draft.epochs * training.batches_per_epoch
        done = state.step - training.cycle.after_step if training.cycle else None
        return schedule_curve(
            self.draft, steps, done or None, width, height, plain=self.glyphs.plain
        )

    def _rows(self, field: Field, here: bool, width: int) -> list[Line]:
        """A choice: its name, what it is, what that means, and what it was at the beginning."""
        mark = f" {self.glyphs.cursor} " if here else "   "
        changed = shown(field, self.draft) != shown(field, self.now)
        label = padded(field.label, min(LABEL, max(12, width - VALUE - 4)))
        value = self._value(field, here)
        first: Line = (("".join(mark), "strong"), (label, "strong" if changed else "text"), *value)
        remarks = self._remarks(field)
        if not remarks:
            return [first]
        if width < NARROW:
            bad = field.name in self.wrong
            return [first, ((" " * 5, "text"), *remarks)] if bad else [first]
        return [(*first, ("  ", "text"), *remarks)]

    def _value(self, field: Field, here: bool) -> list[Piece]:
        if not field.words:
            text = self.typed.get(field.name, shown(field, self.draft))
            style = "alarm" if field.name in self.wrong else "chosen" if here else "text"
            text = f" {text} " if here or field.name in self.wrong else f" {text}"
            return [(text, style), (" " * max(0, VALUE - len(text)), "text")]
        pieces: list[Piece] = []
        for word in words_of(field, self._precisions):
            on = word == shown(field, self.draft)
            style = ("chosen" if here else "strong") if on else "dim"
            pieces.append((f"[{word}]" if on else f" {word} ", style))
        return pieces

    def _remarks(self, field: Field) -> list[Piece]:
        if field.name in self.wrong:
            return [(f"It must be {self.wrong[field.name]}.", "strong")]
        words = [note(field, self.draft, self.state.training.batches_per_epoch)]
        if field.name == "precision" and len(self._precisions) == 1:
            words = ["this device has no other"]
        if shown(field, self.draft) != shown(field, self.began):
            words.append(f"began as {shown(field, self.began)}")
        text = " · ".join(word for word in words if word)
        return [(text, "dim")] if text else []

    @property
    def _precisions(self) -> tuple[str, ...]:
        return self.state.session.precisions if self.state.session else ("fp32",)

    def keys(self) -> list[tuple[str, str]]:
        change = "change" if self.field.words else "change, or type a number"
        sides = "<>" if self.glyphs.plain else "←→"
        return [("Enter", "apply"), (sides, change)]

    # --- keys -----------------------------------------------------------------------------------

    def pressed(self, key: str) -> bool:
        moves = {"up": -1, "k": -1, "down": 1, "j": 1, "tab": 1, "shift+tab": -1}
        moves |= {"home": -99, "g": -99, "pageup": -99, "end": 99, "G": 99, "pagedown": 99}
        if key in moves:
            self.cursor = max(0, min(len(FIELDS) - 1, self.cursor + moves[key]))
        elif key in ("left", "h", "right", "l", "space"):
            self._forget()
            step = -1 if key in ("left", "h") else 1
            self.draft = step_value(self.field, self.draft, step, self._precisions)
        elif key == "enter":
            self._apply()
        elif not self.field.words and key in ("backspace", "delete"):
            self._type(self.typed.get(self.field.name, shown(self.field, self.draft))[:-1])
        elif not self.field.words and self.character and self.character in "0123456789.,e+-":
            character = "." if self.character == "," else self.character
            self._type(self.typed.get(self.field.name, "") + character)
        else:
            return False
        if not self._answered:
            self.redraw()
        return True

    def _forget(self) -> None:
        self.typed.pop(self.field.name, None)
        self.wrong.pop(self.field.name, None)

    def _type(self, text: str) -> None:
        name = self.field.name
        self.typed[name] = text[:VALUE]
        found = parse_value(self.field, self.draft, self.typed[name])
        if isinstance(found, str):
            self.wrong[name] = found
        else:
            self.draft = found
            self.wrong.pop(name, None)

    def _apply(self) -> None:
        if self.wrong:
            self.cursor = next(n for n, f in enumerate(FIELDS) if f.name in self.wrong)
            return
        if self.draft != self.now:
            self._take(self.draft)
        self.dismiss(None)

"""The recipe screen: every training setting as a list, and a drawing of the schedule."""

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
"""The widths of the first two columns, in cells."""
NARROW = 74
"""The width in cells below which remarks have no column; only errors are shown, on a new line."""
MIN_CURVE_LINES = 5
"""The fewest lines in which the schedule is drawn."""


class RecipeScreen(FullScreen):
    """The screen that edits the recipe; Enter applies it, Escape discards it after a question."""

    title_text = "recipe"

    def __init__(
        self,
        state: RunState,
        appearance: tuple[Palette, Glyphs],
        *,
        apply: Callable[[Recipe], None],
    ) -> None:
        """
        Args:
            state: The state of the run, whose session must be open.
            appearance: Colours and characters.
            apply: Sets the recipe to train with.
        """
        assert state.session is not None and state.training.recipe is not None
        self.initial, self.current = state.session.recipe, state.training.recipe
        self.draft = self.current
        """The recipe as edited so far."""
        self.cursor = 0
        self.typed: dict[str, str] = {}
        """The text typed into number fields, by field name."""
        self.errors: dict[str, str] = {}
        """What an invalid number must be, by field name."""
        self._discarding = False
        """Whether Escape was pressed once although there are changes."""
        self._set_recipe = apply
        super().__init__(state, appearance)

    @property
    def field(self) -> Field:
        """The field under the cursor."""
        return FIELDS[self.cursor]

    def show(self, state: RunState) -> None:
        recipe = state.training.recipe
        if recipe is not None and recipe != self.current:
            if self.draft == self.current:
                self.draft = recipe  # nothing was edited, so show the new recipe
            self.current = recipe
        if self._discarding:
            self.message = self._discard_question()
        super().show(state)

    # --- drawing --------------------------------------------------------------------------------

    @property
    def changes(self) -> int:
        """The number of fields that differ from the recipe in use, with those that are invalid."""
        return sum(
            f.name in self.errors or shown(f, self.draft) != shown(f, self.current) for f in FIELDS
        )

    def summary_text(self, state: RunState) -> str:
        return f"{self.changes} to apply" if self.changes else ""

    def _discard_question(self) -> str:
        """Return what another Escape would lose; empty if there is nothing to lose any more."""
        if not self.changes:
            return ""
        changes = "1 change is" if self.changes == 1 else f"{self.changes} changes are"
        return f"{changes} not applied. Enter applies, Esc again discards."

    @property
    def leave_key(self) -> tuple[str, str]:
        return "Esc", "discard" if self.changes else "back"

    def heading(self, state: RunState, width: int) -> list[Line]:
        return [()]

    def content(self, state: RunState, width: int, height: int) -> Body:
        lines: list[Line] = []
        cursor_line = 0
        for number, field in enumerate(FIELDS):
            if number == self.cursor:
                cursor_line = len(lines)
            lines += self._rows(field, number == self.cursor, width)
        window = max(1, height)
        self.offset_line = max(min(self.offset_line, cursor_line), cursor_line - window + 2)
        room = height - len(lines) - 2
        if room >= MIN_CURVE_LINES:
            lines += [(), line(("  learning rate of the head over all steps", "text"))]
            lines += self._curve(state, width, min(room, 14))
        return body(lines)

    def _curve(self, state: RunState, width: int, height: int) -> list[Line]:
        training = state.training
        steps = self.draft.epochs * training.batches_per_epoch
        done = state.step - training.cycle.after_step if training.cycle else None
        return schedule_curve(
            self.draft, steps, done or None, width, height, plain=self.glyphs.plain
        )

    def _rows(self, field: Field, selected: bool, width: int) -> list[Line]:
        """Return the lines of a field: its label, its value and remarks on it."""
        mark = f" {self.glyphs.cursor} " if selected else "   "
        changed = shown(field, self.draft) != shown(field, self.current)
        label = padded(field.label, min(LABEL, max(12, width - VALUE - 4)))
        value = self._value(field, selected)
        first: Line = ((mark, "strong"), (label, "strong" if changed else "text"), *value)
        remarks = self._remarks(field)
        if not remarks:
            return [first]
        if width < NARROW:
            invalid = field.name in self.errors
            return [first, ((" " * 5, "text"), *remarks)] if invalid else [first]
        return [(*first, ("  ", "text"), *remarks)]

    def _value(self, field: Field, selected: bool) -> list[Piece]:
        if not field.words:
            text = self.typed.get(field.name, shown(field, self.draft))
            style = "alarm" if field.name in self.errors else "chosen" if selected else "text"
            text = f" {text} " if selected or field.name in self.errors else f" {text}"
            return [(text, style), (" " * max(0, VALUE - len(text)), "text")]
        pieces: list[Piece] = []
        for word in words_of(field, self._precisions):
            chosen = word == shown(field, self.draft)
            style = ("chosen" if selected else "strong") if chosen else "dim"
            pieces.append((f"[{word}]" if chosen else f" {word} ", style))
        return pieces

    def _remarks(self, field: Field) -> list[Piece]:
        if field.name in self.errors:
            return [(f"It must be {self.errors[field.name]}.", "strong")]
        remarks = [note(field, self.draft, self.state.training.batches_per_epoch)]
        if field.name == "precision" and len(self._precisions) == 1:
            remarks = ["the only one on this device"]
        if shown(field, self.draft) != shown(field, self.initial):
            remarks.append(f"initially {shown(field, self.initial)}")
        text = " · ".join(remark for remark in remarks if remark)
        return [(text, "dim")] if text else []

    @property
    def _precisions(self) -> tuple[str, ...]:
        return self.state.session.precisions if self.state.session else ("fp32",)

    def keys(self) -> list[tuple[str, str]]:
        change = "change" if self.field.words else "change (or type a number)"
        arrows = "<>" if self.glyphs.plain else "←→"
        return [("Enter", "apply"), (arrows, change)]

    # --- keys -----------------------------------------------------------------------------------

    def pressed(self, key: str) -> bool:
        if key in ("escape", "q"):
            if self._discarding or not self.changes:
                self.dismiss(None)
            else:
                self._discarding = True
                self.redraw()
            return True
        if self._discarding:
            self._discarding, self.message = False, ""
        moves = {"up": -1, "k": -1, "down": 1, "j": 1, "tab": 1, "shift+tab": -1}
        moves |= {"home": -99, "g": -99, "pageup": -99, "end": 99, "G": 99, "pagedown": 99}
        if key in moves:
            self.cursor = max(0, min(len(FIELDS) - 1, self.cursor + moves[key]))
        elif key in ("left", "h", "right", "l", "space"):
            self._discard_typed()
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

    def _discard_typed(self) -> None:
        self.typed.pop(self.field.name, None)
        self.errors.pop(self.field.name, None)

    def _type(self, text: str) -> None:
        name = self.field.name
        self.typed[name] = text[:VALUE]
        parsed = parse_value(self.field, self.draft, self.typed[name])
        if isinstance(parsed, str):
            self.errors[name] = parsed
        else:
            self.draft = parsed
            self.errors.pop(name, None)

    def _apply(self) -> None:
        if self.errors:
            self.cursor = next(n for n, f in enumerate(FIELDS) if f.name in self.errors)
            return
        if self.draft != self.current:
            self._set_recipe(self.draft)
        self.dismiss(None)

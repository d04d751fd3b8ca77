"""The list of running engines, from which the user chooses one to attach to."""

from __future__ import annotations

from textual.binding import Binding
from textual.filter import LineFilter

from tl_tui.connect.discovery import RunningEngine
from tl_tui.settings.preferences import load_preferences
from tui.app.suspension import SuspendableApp
from tui.drawing.sanitize import sanitize
from tui.drawing.terminal import TerminalInfo, detect_terminal
from tui.drawing.textual_theme import AsciiOnly, LeanColours, textual_theme
from tui.drawing.theme import ASCII, PALETTES, UNICODE
from tui.screens.choice_dialog import Choice, ChoiceDialog
from tui.text.runs import describe_engine

KEYS = "123456789abcdefghil"
"""The keys of the runs; j and k are left out because they move the cursor."""


class RunChooser(SuspendableApp[str]):
    """An app with one question; its result is the path of an engine's socket."""

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [Binding("ctrl+z", "suspend_process", show=False, priority=True)]

    def __init__(
        self, engines: list[RunningEngine], terminal: TerminalInfo, theme: str | None
    ) -> None:
        """
        Args:
            engines: The engines to choose from; those beyond the number of keys are left out.
            terminal: The capabilities of the terminal.
            theme: The name of a palette; None for the last one used.
        """
        super().__init__()
        wanted = theme or load_preferences().theme
        name = wanted if wanted in PALETTES and not terminal.monochrome else "terminal"
        for palette in PALETTES.values():
            self.register_theme(textual_theme(palette))
        self.theme = name
        self.own_filters: list[LineFilter] = [LeanColours(monochrome=terminal.monochrome)]
        if not terminal.unicode:
            self.own_filters.append(AsciiOnly())
        glyphs = UNICODE if terminal.unicode else ASCII
        answers = [
            Choice(
                (key,),
                glyphs.text(sanitize(f"{engine.name}  {describe_engine(engine)}")),
                str(engine.socket_path),
            )
            for key, engine in zip(KEYS, engines, strict=False)
        ]
        answers.append(Choice(("escape", "q", "ctrl+c"), "leave", ""))
        self._question = ChoiceDialog(
            "Running engines",
            "These runs continue without a screen. Which one do you want to open?",
            answers,
            (PALETTES[name], glyphs),
        )

    def get_line_filters(self) -> list[LineFilter]:
        return [*super().get_line_filters(), *self.own_filters]

    def on_mount(self) -> None:
        if not self.is_headless:
            self.follow_stop_signals()
        self.push_screen(self._question, lambda value: self.exit(value or None))


def choose_run(
    engines: list[RunningEngine], *, ascii_only: bool, theme: str | None
) -> RunningEngine | None:
    """Let the user choose one of these engines; return None if they leave."""
    chosen = RunChooser(engines, detect_terminal(ascii_only=ascii_only), theme).run()
    return next((engine for engine in engines if str(engine.socket_path) == chosen), None)

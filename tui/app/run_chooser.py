"""The list of runs that go on, to choose one from before its screen is opened."""

from __future__ import annotations

from textual.app import App
from textual.filter import LineFilter

from tl_tui.connect.discovery import RunningEngine
from tl_tui.settings.preferences import load_preferences
from tui.drawing.sanitize import sanitize
from tui.drawing.terminal import TerminalInfo, detect_terminal
from tui.drawing.textual_theme import LeanColours, textual_theme
from tui.drawing.theme import ASCII, PALETTES, UNICODE
from tui.screens.choice_dialog import Choice, ChoiceDialog
from tui.text.runs import describe_engine

KEYS = "123456789abcdefghil"
"""Of the answers; j and k move."""


class RunChooser(App[str]):
    """One question; its value is the path of the engine's socket."""

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self, engines: list[RunningEngine], terminal: TerminalInfo, theme: str | None
    ) -> None:
        """
        Args:
            engines: To choose from; beyond the room of the keys they are left out.
            terminal: What the terminal can.
            theme: A palette's name; None is the one of last time.
        """
        super().__init__()
        wanted = theme or load_preferences().theme
        name = wanted if wanted in PALETTES and not terminal.monochrome else "terminal"
        for palette in PALETTES.values():
            self.register_theme(textual_theme(palette))
        self.theme = name
        self._lean = LeanColours(monochrome=terminal.monochrome)
        glyphs = UNICODE if terminal.unicode else ASCII
        answers = [
            Choice(
                (key,),
                glyphs.text(sanitize(f"{one.name}  {describe_engine(one)}")),
                str(one.socket_path),
            )
            for key, one in zip(KEYS, engines, strict=False)
        ]
        answers.append(Choice(("escape", "q", "ctrl+c"), "leave", ""))
        self._question = ChoiceDialog(
            "Runs that go on",
            "Which one? Its engine has gone on without a screen.",
            answers,
            (PALETTES[name], glyphs),
        )

    def get_line_filters(self) -> list[LineFilter]:
        return [*super().get_line_filters(), self._lean]

    def on_mount(self) -> None:
        self.push_screen(self._question, lambda value: self.exit(value or None))


def choose_run(
    engines: list[RunningEngine], *, ascii_only: bool, theme: str | None
) -> RunningEngine | None:
    """Let the user choose one of these; None if they leave."""
    chosen = RunChooser(engines, detect_terminal(ascii_only=ascii_only), theme).run()
    return next((one for one in engines if str(one.socket_path) == chosen), None)

"""The caption below the stack: what the last step did, a notice, or the progress of loading."""

from __future__ import annotations

from tui.drawing.lines import Line, line, wrapped_message
from tui.state.run_state import RunState
from tui.text.caption import caption
from tui.widgets.loading import checklist_line
from tui.widgets.state_lines import StateLines

DEAD_KEYS = "R starts the engine again · q leaves · the measurements stay visible"
"""What can be done once the engine has died."""


class CaptionLine(StateLines):
    """Up to two lines of text below the stack."""

    notice = ""
    """Shown instead of the caption until the app clears it."""

    def lines(self, state: RunState) -> list[Line]:
        width, height = self.size
        said = state.cut or self.notice
        if said or state.phase == "dead":
            keys = "" if said or height < 2 else DEAD_KEYS
            texts = wrapped_message(
                self.glyphs.text(said or state.death), width, height - bool(keys)
            )
            return [line((text, "strong")) for text in (*texts, *([keys] * bool(keys)))]
        if state.session is None or state.provisional:
            if state.session is None:
                return []
            hint = "Cached stack: keys work already and take effect once the engine is ready."
            return [checklist_line(state, width), line((hint[:width], "dim"))][:height]
        return [line(text) for text in caption(state, width)[:height]]

"""The caption below the stack: what the last step did, a notice, or the progress of loading."""

from __future__ import annotations

from tui.drawing.lines import Line, line, wrapped
from tui.state.run_state import RunState
from tui.text.caption import caption
from tui.widgets.loading import checklist_line
from tui.widgets.state_lines import StateLines


class CaptionLine(StateLines):
    """Up to two lines of text below the stack."""

    notice = ""
    """Shown instead of the caption until the app clears it."""

    def lines(self, state: RunState) -> list[Line]:
        width, height = self.size
        if state.cut:
            return [line((text, "strong")) for text in wrapped(state.cut, width, height)]
        if self.notice:
            return [line((text, "strong")) for text in wrapped(self.notice, width, height)]
        if state.phase == "dead":
            texts = wrapped(state.death, width, height)
            if height > 1:
                keys = "R starts the engine again · q leaves · the measurements stay visible"
                texts = [texts[0] if len(texts) == 1 else wrapped(state.death, width, 1)[0], keys]
            return [line((text, "strong")) for text in texts]
        if state.session is None or state.provisional:
            if state.session is None:
                return []
            hint = "Cached stack: keys work already and take effect once the engine is ready."
            return [checklist_line(state, width), line((hint[:width], "dim"))][:height]
        return [line(text) for text in caption(state, width)[:height]]

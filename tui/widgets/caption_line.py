"""What happened, in words; for a moment the answer to a key; while loading, how far it is."""

from __future__ import annotations

from tui.drawing.lines import Line, line, wrapped
from tui.state.run_state import RunState
from tui.text.caption import caption
from tui.widgets.loading import checklist_line
from tui.widgets.state_lines import StateLines


class CaptionLine(StateLines):
    """Two lines below the stack."""

    notice = ""
    """Stands there instead of the caption for as long as the app leaves it."""

    def lines(self, state: RunState) -> list[Line]:
        width, height = self.size
        if state.cut:
            return [line((text, "strong")) for text in wrapped(state.cut, width, height)]
        if self.notice:
            return [line((text, "strong")) for text in wrapped(self.notice, width, height)]
        if state.phase == "dead":
            found = wrapped(state.death, width, height)
            if height > 1:
                keys = "R starts the engine again · q leaves · what was measured stays here"
                found = [found[0] if len(found) == 1 else wrapped(state.death, width, 1)[0], keys]
            return [line((text, "strong")) for text in found]
        if state.session is None or state.provisional:
            if state.session is None:
                return []
            words = "Last time's stack: keys work already, the engine takes them over."
            return [checklist_line(state, width), line((words[:width], "dim"))][:height]
        return [line(text) for text in caption(state, width)[:height]]

"""The checklist of what has to be loaded before the first step."""

from __future__ import annotations

from typing import NamedTuple

from tui.drawing.lines import Line, fitted, line, wrapped
from tui.state.run_state import RunState
from tui.widgets.state_lines import StateLines

STAGES = ("torch", "data", "weights", "calibration", "warm-up")
DOING = {
    "torch": "loading PyTorch",
    "data": "reading the list of images",
    "weights": "reading the pretrained weights",
    "calibration": "estimating BatchNorm statistics",
    "warm-up": "a trial step, so that the first real one is fast",
}


class Item(NamedTuple):
    """One line of the checklist."""

    name: str
    status: str
    """done, doing or waiting."""
    detail: str


def checklist(state: RunState, terminal: str) -> list[Item]:
    """Return the stages of opening with their progress.

    Args:
        state: The state of the run.
        terminal: A short description of the terminal.
    """
    items = [Item("terminal", "done", terminal)]
    for stage in STAGES:
        progress = state.loading.get(stage)
        if progress is None:
            if stage != "calibration":  # only random weights need it
                items.append(Item(stage, "waiting", ""))
        elif progress.done:
            took = f"{progress.seconds:.1f} s" if progress.seconds >= 0.1 else ""
            detail = " · ".join(part for part in (progress.detail, took) if part)
            items.append(Item(stage, "done", detail))
        else:
            detail = progress.detail or DOING[stage]
            if state.busy is not None:
                detail += f" · {state.busy.seconds:.0f} s"
            items.append(Item(stage, "doing", detail))
    return items


MARKS = {"done": ("✓", "trainable"), "doing": ("▸", "strong"), "waiting": ("·", "dim")}


def checklist_line(state: RunState, width: int) -> Line:
    """Return the checklist in one line."""
    pieces: list[tuple[str, str]] = []
    room = width
    for item in checklist(state, ""):
        mark, style = MARKS[item.status]
        text = f" {item.name}   "
        if item.status == "doing" and state.busy is not None:
            text = f" {item.name} {state.busy.seconds:.0f} s   "
        room -= 1 + len(text)
        if room < 0:
            break
        pieces += [(mark, style), (text, "strong" if item.status == "doing" else "dim")]
    return tuple(pieces)


class Loading(StateLines):
    """The checklist in place of the stack until there is one, or why the engine ended."""

    terminal = ""
    """A short description of the terminal."""

    def lines(self, state: RunState) -> list[Line]:
        width, height = self.size
        if state.phase == "dead":
            text = wrapped(state.death, min(width - 6, 90), max(1, height - 6))
            indent = " " * 3
            body = [
                line(indent, ("The engine is gone", "strong")),
                (),
                *(line(f"{indent}{part}") for part in text),
                (),
                line(indent, ("R starts it again    q leaves", "dim")),
            ]
            return [*[()] * max(0, (height - len(body)) // 3), *body]
        items = checklist(state, self.terminal)
        indent = " " * max(2, min(24, (width - 50) // 3))
        body = []
        for item in items:
            mark, style = MARKS[item.status]
            name_style = {"done": "text", "doing": "strong", "waiting": "dim"}[item.status]
            detail = fitted(self.glyphs.text(item.detail), max(0, width - len(indent) - 16))
            body.append(
                line(indent, (mark, style), (f" {item.name:<12} ", name_style), (detail, "dim"))
            )
        return [*[()] * max(0, (height - len(body)) // 2), *body]

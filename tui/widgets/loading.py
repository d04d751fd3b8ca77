"""The first minute: what is being done until the first step, ticked off as it is done."""

from __future__ import annotations

from typing import NamedTuple

from tui.drawing.lines import Line, fitted, line, wrapped
from tui.state.run_state import RunState
from tui.widgets.state_lines import StateLines

STAGES = ("torch", "data", "weights", "calibration", "warm-up")
DOING = {
    "torch": "loading PyTorch",
    "data": "looking through the images",
    "weights": "reading the pretrained weights",
    "calibration": "estimating BatchNorm statistics",
    "warm-up": "a step on the side, so that the first is quick",
}


class Item(NamedTuple):
    """One line of the checklist."""

    name: str
    status: str
    """done, doing or waiting."""
    detail: str


def checklist(state: RunState, terminal: str) -> list[Item]:
    """The stages of opening, as far as they were heard of."""
    items = [Item("terminal", "done", terminal)]
    for stage in STAGES:
        told = state.loading.get(stage)
        if told is None:
            if stage != "calibration":  # only random weights need it
                items.append(Item(stage, "waiting", ""))
        elif told.done:
            detail = told.detail
            if told.seconds >= 0.1:
                detail = f"{detail} · {told.seconds:.1f} s" if detail else f"{told.seconds:.1f} s"
            items.append(Item(stage, "done", detail))
        else:
            detail = told.detail or DOING[stage]
            if state.busy is not None:
                detail += f" · {state.busy.seconds:.0f} s"
            items.append(Item(stage, "doing", detail))
    return items


MARKS = {"done": ("✓", "trainable"), "doing": ("▸", "strong"), "waiting": ("·", "dim")}


def checklist_line(state: RunState, width: int) -> Line:
    """The checklist in one line."""
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
    """The checklist in the middle of the stack's room, until there is a stack."""

    terminal = ""
    """What was found of the terminal, in a few words."""

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
            detail = fitted(item.detail, max(0, width - len(indent) - 16))
            body.append(
                line(indent, (mark, style), (f" {item.name:<12} ", name_style), (detail, "dim"))
            )
        return [*[()] * max(0, (height - len(body)) // 2), *body]

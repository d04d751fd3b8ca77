"""The first line: the model, its weights and data, the progress and the device."""

from __future__ import annotations

import time

from rich.cells import cell_len

from tl_tui.connect.slurm import duration_text
from tui.drawing.lines import (
    Line,
    Piece,
    fitted,
    justified,
    line,
    line_width,
    shorten_middle,
    wrapped_message,
)
from tui.drawing.sanitize import sanitize
from tui.state.run_state import RunState
from tui.text.format import format_memory
from tui.text.progress import progress_text
from tui.text.viewers import viewers_text
from tui.widgets.state_lines import StateLines


class TitleLine(StateLines):
    """Model, weights, data and skipped images on the left, progress and device on the right.

    Where there is little room, the progress replaces the device.
    """

    def lines(self, state: RunState) -> list[Line]:
        width = self.size.width
        name = (" tl-tui   " if width >= 60 else " ", "strong")
        session = state.session
        if session is None:
            return [(name, (self.glyphs.text(sanitize(self.app.sub_title)), "dim"))]
        device = device_text(state) if width >= 60 else session.device
        if job := job_text(state):
            device = f"{device} · {job}" if width >= 100 else job
        status = " · ".join(filter(None, (viewers_text(state), progress_text(state))))
        right: list[Piece] = [(status, "strong")] if status else []
        if not status or width >= 100:
            right += [(f"   {device}" if status else device, "text")]
        right.append((" ", "text"))
        classes = f"{len(session.classes)} classes"
        images = f", {session.train_images:,} + {session.val_images:,} images"
        room = width - line_width([name]) - line_width(right) - 1
        skipped = f" · {state.skipped_images:,} skipped" if state.skipped_images else ""
        room -= len(skipped)
        label = state.training.weights or session.weights
        first = label == session.weights
        # For pretrained weights the line below the curves says why they are used.
        why = session.weights_cause if first and not session.pretrained else ""
        if not (first and session.pretrained):
            label += " weights"
        data = self.glyphs.text(sanitize(session.data))
        model, reason = f"{session.arch} · {label}", f" ({why})" if why else ""
        forms = [f"{model}{reason} · {data}, {tail}" for tail in (classes + images, classes)]
        if why:
            used = cell_len(f"{model} () · {data}")
            forms.append(f"{model} ({fitted(why, max(6, room - used))}) · {data}")
        forms += [f"{model} · {data}", f"{session.arch} · {data}"]
        form = next((form for form in forms if cell_len(form) <= room), forms[-1])
        style = "dim" if state.provisional else "text"
        if state.provisional:
            right = [(text, "dim") for text, _ in right]
        left = [name, (shorten_middle(form, max(0, room)), style), (skipped, "strong")]
        return [justified(left, right, width)]


def device_text(state: RunState) -> str:
    """Return the device, and how much of its memory the last step used."""
    session = state.session
    if session is None:
        return ""
    if state.provisional:
        return "cached stack"
    used = state.last.memory_used if state.last else None
    if session.memory_total is None:
        return session.device
    return f"{session.device} {format_memory(session.memory_total, used)}"


def job_text(state: RunState) -> str:
    """Return when the engine's SLURM job ends; empty if there is none or the time is not known."""
    if state.job_ends is None or state.provisional:
        return ""
    return f"job ends in {duration_text(state.job_ends - time.time())}"


class WarningLine(StateLines):
    """A permanent warning that a GPU of this machine cannot be used."""

    def lines(self, state: RunState) -> list[Line]:
        warning = state.session.device_warning if state.session else ""
        if not warning:
            return []
        text = self.glyphs.text(f"! {warning}")
        return [line((f" {wrapped_message(text, self.size.width - 1, 1)[0]}", "alarm"))]

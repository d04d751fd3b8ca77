"""The first line: what is being trained, from which weights, on what."""

from __future__ import annotations

import re
import time

from tl_tui.connect.slurm import duration_text
from tui.drawing.lines import Line, Piece, fitted, justified, line_width
from tui.state.run_state import RunState
from tui.text.progress import progress_words
from tui.text.viewers import viewers_words
from tui.widgets.state_lines import StateLines


class TitleLine(StateLines):
    """Model, weights (and why), data, skipped images; at the right how far training is, and the
    device with its memory, which gives way to it where there is little room."""

    def lines(self, state: RunState) -> list[Line]:
        width = self.size.width
        name = (" tl-tui   " if width >= 60 else " ", "strong")
        session = state.session
        if session is None:
            return [(name, (self.app.sub_title, "dim"))]
        where = device(state) if width >= 60 else session.device
        if job := job_words(state):
            where = f"{where} · {job}" if width >= 100 else job
        told = " · ".join(filter(None, (viewers_words(state), progress_words(state))))
        right: list[Piece] = [(told, "strong")] if told else []
        if not told or width >= 100:
            right += [(f"   {where}" if told else where, "text")]
        right.append((" ", "text"))
        classes = f"{len(session.classes)} classes"
        images = f", {session.train_images:,} + {session.val_images:,} images"
        room = width - line_width([name]) - line_width(right) - 1
        skipped = f" · {state.skipped_images:,} skipped" if state.skipped_images else ""
        room -= len(skipped)
        label = state.training.weights or session.weights
        first = label == session.weights
        # Of a real backbone the line below the curves says why it is that one.
        why = short_reason(session.weights_reason) if first and not session.pretrained else ""
        if not (first and session.pretrained):
            label += " weights"
        reasons = [f" ({why})"] if why else [""]
        tries = [
            f"{session.arch} · {label}{reason} · {session.data}, {tail}"
            for reason in reasons
            for tail in (classes + images, classes)
        ]
        if why:
            bare = f"{session.arch} · {label} () · {session.data}"
            tries.append(bare.replace("()", f"({fitted(why, max(6, room - len(bare)))})"))
        tries += [f"{session.arch} · {label} · {session.data}", f"{session.arch} · {session.data}"]
        text = next((text for text in tries if len(text) <= room), tries[-1])
        style = "dim" if state.provisional else "text"
        if state.provisional:
            right = [(words, "dim") for words, _ in right]
        left = [name, (fitted(text, max(0, room)), style), (skipped, "strong")]
        return [justified(left, right, width)]


def short_reason(why: str) -> str:
    """The nub of a sentence such as `no pretrained weights: FILE is not there (no internet)`."""
    in_brackets = re.findall(r"\(([^()]+)\)\.?$", why)
    return in_brackets[-1] if in_brackets else why.partition(":")[0].rstrip(".")


def device(state: RunState) -> str:
    """The device, and how much of its memory the last step took."""
    session = state.session
    if session is None:
        return ""
    if state.provisional:
        return "last time's stack"
    used = state.last.memory_used if state.last else None
    if session.memory_total is None:
        return session.device
    total = f"{session.memory_total / 1e9:.0f} GB"
    return f"{session.device} {used / 1e9:.1f}/{total}" if used else f"{session.device} {total}"


def job_words(state: RunState) -> str:
    """When the job of the engine ends; empty if it is in none, or nothing says when."""
    if state.job_ends is None or state.provisional:
        return ""
    return f"job ends in {duration_text(state.job_ends - time.time())}"


class WarningLine(StateLines):
    """Why a GPU that is there cannot be used; stands there all the time."""

    def lines(self, state: RunState) -> list[Line]:
        warning = state.session.device_warning if state.session else ""
        return [((fitted(f" ! {warning}", self.size.width), "alarm"),)] if warning else []

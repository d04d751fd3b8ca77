"""Texts for a run that several screens watch: how many there are, and which one is in control."""

from __future__ import annotations

from tl_tui.protocol.events import ViewersChanged
from tui.state.run_state import RunState


def viewers_sentence(before: ViewersChanged, now: ViewersChanged) -> str:
    """Return a message about what has changed."""
    if not now.in_control:
        return "Another screen steers this run, this one watches. W takes over."
    if not before.in_control:
        alone = " and is alone now" if now.clients == 1 else ""
        return f"This screen steers{alone}."
    if now.clients > before.clients:
        return "Another screen watches this run."
    return "The other screen is gone." if now.clients == 1 else "One of the other screens is gone."


def viewers_text(state: RunState) -> str:
    """Return a short text for the title; empty while this screen is the only one."""
    if state.cut:
        return "not connected"
    if state.phase == "dead":
        return ""
    if not state.watched.in_control:
        return "watching, W steers"
    return f"{state.watched.clients} screens" if state.watched.clients > 1 else ""

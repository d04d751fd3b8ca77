"""Helpers for tests that run the app on a scripted engine and read its screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual.pilot import Pilot

from tests.support.scripted_engine import ScriptedEngine
from tl_tui.protocol.config import RunConfig
from tui.app.app import WorkbenchApp

PATIENCE = 500
"""The number of pauses of 10 ms to wait for a condition."""


@dataclass(frozen=True)
class TestTerminal:
    """The terminal's capabilities, as given to the app."""

    __test__ = False
    monochrome: bool = False
    unicode: bool = True


def make_app(engine: ScriptedEngine, *, theme: str | None = None, **terminal: bool):
    """Return an app on this engine, without animation."""
    return WorkbenchApp(
        engine,
        RunConfig(),
        terminal=TestTerminal(**terminal),
        animation=False,
        theme=theme,
    )


def screen_lines(app: WorkbenchApp) -> list[str]:
    """Return the text on the screen, one string per line."""
    return [strip.text for strip in app.screen._compositor.render_strips(app.size)]


def screen_text(app: WorkbenchApp) -> str:
    """Return the text on the screen with white space collapsed, to find wrapped sentences."""
    return " ".join(" ".join(line.strip("│╭╰╮╯ ") for line in screen_lines(app)).split())


async def wait_until(pilot: Pilot, condition: Callable[[], object]) -> None:
    """Run the app until a condition holds; fail if it never does."""
    for _ in range(PATIENCE):
        if condition():
            return
        await pilot.pause(0.01)
    raise AssertionError("timed out; the screen:\n" + "\n".join(screen_lines(pilot.app)))  # type: ignore[arg-type]


async def ready(pilot: Pilot) -> None:
    """Wait until the session is open."""
    await wait_until(pilot, lambda: pilot.app.run_state.phase == "ready")  # type: ignore[attr-defined]
    await pilot.pause()


async def steps_taken(pilot: Pilot, steps: int) -> None:
    """Wait until the current start has taken `steps` steps and the screen shows it."""
    await wait_until(pilot, lambda: pilot.app.run_state.step == steps)  # type: ignore[attr-defined]
    await wait_until(pilot, lambda: f"step {steps} " in screen_text(pilot.app))  # type: ignore[arg-type]


async def open_results(pilot, engine, shown):
    """Open the results screen and wait until it shows these results."""
    await ready(pilot)
    await pilot.press("e")
    engine.emit(shown)
    await wait_until(pilot, lambda: f"{shown.correct} of {shown.total}" in screen_text(pilot.app))

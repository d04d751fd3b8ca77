"""The app on a scripted engine, for tests: how to start it and how to read its screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual.pilot import Pilot

from tests.support.scripted_engine import ScriptedEngine
from tl_tui.protocol.config import RunConfig
from tui.app.app import WorkbenchApp

PATIENCE = 500
"""Turns of the event loop that a condition is waited for."""


@dataclass(frozen=True)
class TestTerminal:
    """What the app is told of the terminal."""

    __test__ = False
    monochrome: bool = False
    unicode: bool = True


def make_app(engine: ScriptedEngine, *, theme: str | None = None, **terminal: bool):
    """An app on this engine, without animation."""
    return WorkbenchApp(
        engine,
        RunConfig(),
        terminal=TestTerminal(**terminal),
        animation=False,
        theme=theme,
    )


def screen_lines(app: WorkbenchApp) -> list[str]:
    """The text on the screen, a string a line."""
    return [strip.text for strip in app.screen._compositor.render_strips(app.size)]


def screen_text(app: WorkbenchApp) -> str:
    """The text on the screen, white space folded, so that wrapped sentences can be found."""
    return " ".join(" ".join(line.strip("│╭╰╮╯ ") for line in screen_lines(app)).split())


async def wait_until(pilot: Pilot, condition: Callable[[], object]) -> None:
    """Let the app work until a condition holds; fails if it never does."""
    for _ in range(PATIENCE):
        if condition():
            return
        await pilot.pause(0.01)
    raise AssertionError("never came true; the screen:\n" + "\n".join(screen_lines(pilot.app)))  # type: ignore[arg-type]


async def ready(pilot: Pilot) -> None:
    """Wait until the session is open."""
    await wait_until(pilot, lambda: pilot.app.run_state.phase == "ready")  # type: ignore[attr-defined]
    await pilot.pause()


async def steps_taken(pilot: Pilot, steps: int) -> None:
    """Wait until this start has so many steps."""
    await wait_until(pilot, lambda: pilot.app.run_state.step == steps)  # type: ignore[attr-defined]
    await wait_until(pilot, lambda: f"step {steps} " in screen_text(pilot.app))  # type: ignore[arg-type]

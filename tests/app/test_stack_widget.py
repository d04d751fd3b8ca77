"""The stack widget in a small app: keys, mouse, replay, and the number of cells it sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.events import MouseScrollDown
from textual.pilot import Pilot

from tests.support.stack_messages import (
    bottleneck_stack,
    opened,
    owners_named,
    resnet18_stack,
    step_taken,
)
from tui.drawing.theme import ASCII, PALETTES, UNICODE
from tui.stack.replay import LENGTH, Replay
from tui.stack.stack import LayerStack
from tui.state.cursor import Target, target_name
from tui.state.run_state import RunState

STACK = resnet18_stack()
MASK = owners_named(STACK, "fc", "layer4.1", "layer3.1")


class Host(App[None]):
    """An app with only the stack. It records what is sent to the terminal and what is posted."""

    def __init__(self, state: RunState | None = None) -> None:
        super().__init__(ansi_color=True)
        self.state = state
        self.sent: list[str] = []
        self.posted: list[Any] = []

    def compose(self) -> ComposeResult:
        yield LayerStack()

    def on_mount(self) -> None:
        if self.state is not None:
            self.stack.show(self.state)

    @property
    def stack(self) -> LayerStack:
        return self.query_one(LayerStack)

    def _display(self, screen, renderable) -> None:
        """Record what a real driver would write."""
        if hasattr(renderable, "render_segments"):
            self.sent.append(renderable.render_segments(self.console))
        super()._display(screen, renderable)

    def on_layer_stack_cursor_moved(self, message: LayerStack.CursorMoved) -> None:
        self.posted.append(message.target)

    def on_layer_stack_toggled(self, message: LayerStack.Toggled) -> None:
        self.posted.append(("toggled", message.target))

    def on_layer_stack_replay_ended(self, message: LayerStack.ReplayEnded) -> None:
        self.posted.append(("ended", message.step.step))


def session(*steps, mask=MASK, stack=STACK) -> RunState:
    state = RunState()
    state.apply(opened(stack, mask))
    for step in steps:
        state.apply(step)
    return state


def screen_of(app: App) -> list[str]:
    """Return the screen's text by line."""
    return [
        "".join(cell.text for cell in strip) for strip in app.screen._compositor.render_strips()
    ]


def segments_of(app: App, y: int) -> list[Segment]:
    return list(app.screen._compositor.render_strips()[y])


async def until(pilot: Pilot, condition: Callable[[], bool]) -> None:
    """Wait up to ten seconds for a condition."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the condition never came true")


async def test_it_is_empty_until_there_is_a_stack():
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        assert "layer4.1" not in "".join(screen_of(app))
        app.stack.show(session(step_taken(STACK, MASK, step=12)))
        await pilot.pause()
        lines = screen_of(app)
        assert lines[2].startswith(" ▸ ██●●●██ fc        train    updated")
        assert lines[6].startswith(" ━━▀▀▀▀▀▀▀━ gradient stopped here · measured in step 12 ━")


async def test_bricks_are_wider_on_a_wide_screen_and_a_resize_redraws():
    app = Host(session(step_taken(STACK, MASK)))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert screen_of(app)[2].startswith(" ▸ ███●●●███ fc ")
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert screen_of(app)[2].startswith(" ▸ ██●●●██ fc ")
        await pilot.resize_terminal(40, 12)
        await pilot.pause()
        assert screen_of(app)[2].rstrip() == " ▸ ██●●●██ fc        train    updated"


async def test_the_cursor_moves_and_posts_a_message():
    app = Host(session())
    async with app.run_test(size=(80, 24)) as pilot:
        app.stack.move(2)
        app.stack.expand()
        app.stack.end()
        app.stack.home()
        assert app.stack.find("layer3.1") and not app.stack.find("no such layer")
        await pilot.pause()
        names = [target_name(STACK, target) for target in app.posted]
        assert names == ["layer4.0", "conv1", "fc", "layer3.1"]
        assert [line[1] for line in screen_of(app)].count("▸") == 1
        assert any("├ bn2" in line for line in screen_of(app))


async def test_a_toggle_is_shown_in_the_next_frame():
    state = session(step_taken(STACK, MASK))
    app = Host(state)
    async with app.run_test(size=(80, 24)) as pilot:
        state.wanted |= frozenset(owners_named(STACK, "layer3.0"))
        app.stack.show(state)
        await pilot.pause()
        lines = screen_of(app)
        assert lines[6][3:29] == "██   ██ layer3.0  → train "
        assert "gradient will stop here" in lines[7]


@pytest.mark.parametrize(
    ("at", "posted"),
    [
        ((5, 4), [Target("row", 7), ("toggled", Target("row", 7))]),
        ((22, 4), [Target("row", 7), ("toggled", Target("row", 7))]),
        ((12, 4), [Target("row", 7)]),
        ((5, 1), []),
        ((5, 6), []),
    ],
    ids=["brick", "state", "name", "loss", "wall"],
)
async def test_clicks(at, posted):
    app = Host(session(step_taken(STACK, MASK)))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.click(offset=at)
        await pilot.pause()
        assert app.posted == posted


async def test_a_click_on_the_fold_mark_unfolds():
    app = Host(session())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        (y,) = [y for y, line in enumerate(screen_of(app)) if "layer4.1 ▸" in line]
        await pilot.click(offset=(screen_of(app)[y].index("layer4.1 ▸") + 9, y))
        await pilot.pause()
        assert any("layer4.1 ▾" in line for line in screen_of(app))
        assert any("├ conv2" in line for line in screen_of(app))


async def test_the_wheel_moves_the_window():
    deep = bottleneck_stack()
    app = Host(session(mask=owners_named(deep, "fc"), stack=deep))
    async with app.run_test(size=(80, 14)) as pilot:
        await pilot.pause()
        assert "layer4.2" in "".join(screen_of(app))
        for _ in range(3):
            await pilot._post_mouse_events([MouseScrollDown], offset=(30, 5))
        await pilot.pause()
        assert "layer4.2" not in "".join(screen_of(app))
        assert app.posted == []


# --- colours ------------------------------------------------------------------------------------


async def test_red_is_only_the_gradient_and_green_and_blue_only_the_mask():
    app = Host(session(step_taken(STACK, MASK)))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        seen: dict[str, set[str]] = {}
        for y in range(14):
            for segment in segments_of(app, y):
                colour = segment.style.color.name if segment.style and segment.style.color else ""
                if segment.text.strip():
                    seen.setdefault(colour, set()).update(segment.text.strip().split())
        assert seen["green"] == {"██", "fc", "layer4.1", "layer3.1"}
        assert {"░░", "layer4.0", "layer3.0", "conv1"} <= seen["bright_blue"]
        assert {"●●●", "━━━━━━━━"} <= seen["bright_red"]
        assert not any("layer" in word or "█" in word for word in seen["bright_red"])


async def test_monochrome_has_no_colour_and_ascii_no_other_characters():
    app = Host(session(step_taken(STACK, MASK)))
    async with app.run_test(size=(80, 24)) as pilot:
        app.stack.set_palette(PALETTES["terminal"], ASCII, monochrome=True)
        await pilot.pause()
        bold, dim = "", ""
        for y in range(14):
            for segment in segments_of(app, y):
                assert segment.text.isascii()
                assert segment.style is None or segment.style.color is None
                if segment.style and segment.style.bold:
                    bold += segment.text + " "
                if segment.style and segment.style.dim:
                    dim += segment.text + " "
        assert "layer4.1" in bold and "layer4.0" not in bold
        assert "layer3.0" in dim and "layer4.0" not in dim


async def test_the_cached_stack_is_dim():
    state = RunState()
    state.show_cached(opened(STACK, MASK))
    app = Host(state)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        line = segments_of(app, 2)
        assert all(piece.style.dim for piece in line if piece.text.strip() and piece.style)
        app.stack.move(1)
        await pilot.pause()
        assert screen_of(app)[3][1] == "▸"


# --- the replay ---------------------------------------------------------------------------------


async def test_a_replay_runs_and_ends_with_its_final_state():
    step = step_taken(STACK, MASK, step=12)
    app = Host(session(step))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        final = screen_of(app)
        app.stack.replay(step)
        await pilot.pause()
        assert app.stack.replaying
        begun = screen_of(app)
        assert begun[5][5:8] == "   " and final[5][5:8] == "●●●"
        assert [line[11:] for line in begun] == [line[11:] for line in final], "numbers at once"
        assert app.stack.replay_label() == "replay ×240 slower than it ran"
        await until(pilot, lambda: not app.stack.replaying)
        await pilot.pause()
        assert screen_of(app) == final
        assert app.posted == [("ended", 12)]


async def test_keys_and_mask_changes_are_shown_during_a_replay():
    step = step_taken(STACK, MASK)
    state = session(step)
    app = Host(state)
    async with app.run_test(size=(80, 24)) as pilot:
        app.stack.replay(step, slower=4)
        app.stack.move(1)
        state.wanted |= frozenset(owners_named(STACK, "layer3.0"))
        app.stack.show(state)
        await pilot.pause()
        assert app.stack.replaying
        assert screen_of(app)[3][1] == "▸"
        assert screen_of(app)[6][3:29] == "██   ██ layer3.0  → train "
        app.stack.stop_replay()
        assert not app.stack.replaying


async def test_a_new_step_ends_the_replay_of_the_old_one():
    first, second = step_taken(STACK, MASK), step_taken(STACK, MASK, step=2, norms={"fc": 1e-4})
    state = session(first)
    app = Host(state)
    async with app.run_test(size=(80, 24)) as pilot:
        app.stack.replay(first)
        state.apply(second)
        app.stack.show(state)
        await pilot.pause()
        assert not app.stack.replaying and app.stack.replay_label() == ""
        assert screen_of(app)[2][3:10] == "██ ● ██"


async def test_a_flash_lights_the_reached_layers_and_ends():
    step = step_taken(STACK, MASK)
    app = Host(session(step))
    async with app.run_test(size=(80, 24)) as pilot:
        app.stack.flash(step)
        await pilot.pause()
        assert screen_of(app)[5][3:10] == "██●●●██"
        await until(pilot, lambda: not app.stack.replaying)


async def test_without_animation_the_final_state_is_shown_at_once():
    step = step_taken(STACK, MASK)
    app = Host(session(step))
    async with app.run_test(size=(80, 24)) as pilot:
        app.animation_level = "none"
        app.stack.replay(step)
        await pilot.pause()
        assert not app.stack.replaying
        assert screen_of(app)[5][3:10] == "██●●●██"


# --- bytes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", [STACK, bottleneck_stack()], ids=["resnet18", "resnet152"])
async def test_a_cursor_move_sends_two_cells_and_not_the_rows(stack):
    app = Host(session(mask=owners_named(stack, "fc"), stack=stack))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.sent.clear()
        app.stack.move(1)
        await pilot.pause()
        sent = "".join(app.sent)
        assert "▸" in sent
        assert not any(letter in sent for letter in "█░━") and "layer" not in sent
        assert len(sent.encode()) < 80


async def test_a_whole_replay_sends_dots_and_no_text():
    stack = bottleneck_stack()
    step = step_taken(stack, range(len(stack.owners)))
    app = Host(session(step, mask=step.mask, stack=stack))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.sent.clear()
        app.stack.replay(step)
        await until(pilot, lambda: not app.stack.replaying)
        await pilot.pause()
        sent = "".join(app.sent)
        assert "●●●" in sent
        assert "layer" not in sent and "updated" not in sent
        # Each row changes five times: open, pulse, trail, faint, final.
        rows = len([line for line in screen_of(app) if "●●●" in line])
        assert sent.count("●●●") <= rows * 5
        assert max(len(frame.encode()) for frame in app.sent[1:-1]) < 1200


def test_later_frames_light_more_layers():
    step = step_taken(STACK, range(len(STACK.owners)))
    replay = Replay(STACK, step)
    lit = [len(replay.frame(LENGTH * share / 20).lit) for share in range(21)]
    assert lit[0] == 0 and lit == sorted(lit) and lit[-1] == len(replay.times)
    assert UNICODE.updated == "●"

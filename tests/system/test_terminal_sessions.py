"""Whole sessions in a real pseudo-terminal, with a real engine."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.support.pseudo_terminal import Terminal
from tests.system.conftest import Opener

thorough = pytest.mark.thorough

DOTS = re.compile(r"[●*]")


def ready(terminal: Terminal) -> Terminal:
    terminal.wait_for(r"Press t|BatchNorm statistics")
    terminal.wait_for("fc +train")
    return terminal


def brick(terminal: Terminal, name: str) -> str:
    """Return what the stack draws to the left of a layer's name."""
    line = terminal.line(rf"^.{{3,16}}{re.escape(name)} ")  # not the inspector's heading
    return line[: line.index(name)].strip()


def step(terminal: Terminal, number: int) -> None:
    terminal.press("t")
    terminal.wait_for(rf"step {number} [·-] \d")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# --- the main job -------------------------------------------------------------------------------


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), pytest.param(120, 40, marks=thorough)])
def test_arrows_f_space_and_t_freeze_thaw_and_take_measured_steps(
    tl_tui: Opener, columns: int, rows: int
) -> None:
    terminal = tl_tui(columns=columns, rows=rows, fresh=True)  # a fork has torch already
    terminal.wait_for("torch")
    assert "fc " not in terminal.text, "the first screenful is there before torch is"
    ready(terminal)
    assert terminal.colour_of(r"fc +(▸ +)?train") == "green"
    terminal.wait_for("images  ?3")
    terminal.wait_for("will go")

    # Freeze below layer4.1: the predicted wall shows under it in the same frame.
    terminal.press("down", "f")
    terminal.wait_for("gradient will stop here")
    assert terminal.line_of("will stop here") > terminal.line_of("layer4.1 ")
    assert terminal.line_of("will stop here") < terminal.line_of("layer4.0 ")
    terminal.wait_for("layer4.0 +(▸ +)?frozen")
    assert terminal.colour_of("layer4.0 +(▸ +)?frozen") == "brightblue"
    assert terminal.colour_of("layer4.1 +(▸ +)?train") == "green"

    # Take a step: red dots run through the trained layers, and the wall is measured.
    step(terminal, 1)
    terminal.wait_for("gradient stopped here · measured in step 1")
    terminal.wait_until(lambda: bool(DOTS.search(brick(terminal, "layer4.1"))), "dots in layer4.1")
    terminal.settle()
    assert DOTS.search(brick(terminal, "fc")) and terminal.colour_of("●") == "brightred"
    assert re.search(r"fc +train +updated .*\de[-+]\d\d", terminal.text)
    assert re.search(r"layer4.0 +(▸ +)?frozen +unreached", terminal.text)
    assert not DOTS.search(brick(terminal, "layer4.0"))
    assert "Step 1 taught" in terminal.text

    # Freeze layer4.1 and thaw layer3.1: a frozen layer between trainable ones.
    terminal.press("space")
    terminal.wait_for(r"→ frozen")
    terminal.press("down", "down", "space")
    terminal.wait_for(r"→ train")
    step(terminal, 2)
    terminal.wait_for(r"layer4.1 +(▸ +)?frozen +passed")
    terminal.wait_until(lambda: "●" in brick(terminal, "layer3.1"), "the replay's end")
    assert "○" in brick(terminal, "layer4.0") and "●" in brick(terminal, "fc")
    assert "passed through" in terminal.text
    line = terminal.line_of("stopped here · measured in step 2")
    assert terminal.line_of("layer3.1 ") < line < terminal.line_of("layer3.0 ")
    terminal.wait_for(r"val \d+/16")


def test_starting_over_keeps_the_old_curve_next_to_the_new_one(tl_tui: Opener) -> None:
    terminal = ready(tl_tui())
    terminal.press("1")
    terminal.wait_for(r"\[1 head\]")
    for number in range(1, 4):
        step(terminal, number)
    terminal.press("0")
    terminal.wait_for("Started over")
    terminal.press("4")
    terminal.wait_for(r"\[4 full\]")
    for number in range(1, 4):
        step(terminal, number)
    terminal.wait_for("1 head .*")
    terminal.settle()
    assert re.search(r"┈ 1 head", terminal.text) and re.search(r"─ now", terminal.text)
    terminal.press("u")  # after a step, this undoes the mask and not the start over
    terminal.wait_for(r"\[1 head\]")


def test_a_mask_key_shows_at_once_during_a_long_step(tl_tui: Opener) -> None:
    """A step of ResNet-50 at 160 px takes seconds; the key does not wait for it."""
    terminal = ready(tl_tui("--arch", "resnet50", "--image-size", "160", "--batch-size", "8"))
    terminal.press("t", "1")
    terminal.wait_for(r"\[1 head\]")
    assert not re.search(r"step 1 · ", terminal.text), "the step should still be running"
    terminal.wait_for(r"layer4.2 +(▸ +)?(→ )?frozen")
    assert not re.search(r"step 1 · ", terminal.text), "the step should still be running"
    terminal.wait_for(r"step 1 · ")
    terminal.wait_for(r"layer4.2 +(▸ +)?→ frozen +updated")  # as it was in the step


# --- terminals of every kind --------------------------------------------------------------------


@pytest.mark.parametrize(
    "term",
    [
        "screen",
        *(pytest.param(t, marks=thorough) for t in ("xterm", "tmux-256color", "xterm-256color")),
    ],
)
def test_a_sixteen_colour_terminal_gets_its_own_colours(tl_tui: Opener, term: str) -> None:
    terminal = ready(tl_tui("--strategy", "last-stage", env={"TERM": term}))
    step(terminal, 1)
    terminal.settle()
    assert terminal.colour_of("fc +train") == "green"
    assert terminal.colour_of("conv1 +frozen") == "brightblue"
    assert terminal.colours() <= {"default", "green", "brightblue", "brightred"}


def test_with_no_color_states_differ_by_shape(tl_tui: Opener) -> None:
    terminal = ready(tl_tui("--trainable", "layer3.1,fc", env={"NO_COLOR": "1"}))
    step(terminal, 1)
    terminal.settle()
    assert terminal.colours() == {"default"}
    assert "██" in brick(terminal, "fc") and "●" in brick(terminal, "fc")
    assert "░░" in brick(terminal, "layer4.1") and "○" in brick(terminal, "layer4.1")
    assert brick(terminal, "conv1") == "░░░░░░░"


@pytest.mark.parametrize(
    ("options", "env"),
    [
        pytest.param(["--ascii"], {}, marks=thorough),
        pytest.param([], {"TERM": "linux"}, marks=thorough),
        pytest.param([], {"LANG": "C", "LC_ALL": "C", "ASCII": "1"}, marks=thorough),
    ],
)
def test_ascii_output_has_no_other_characters(
    tl_tui: Opener, options: list[str], env: dict[str, str]
) -> None:
    plain = env.pop("ASCII", "")
    terminal = tl_tui(
        *("--trainable", "layer3.1,fc", *options),
        env=env,
        answer_cursor=not plain,  # a terminal that does not answer, and a C locale
        fresh=bool(plain),
    )
    ready(terminal)
    step(terminal, 1)
    terminal.settle()
    assert terminal.text.isascii(), sorted(set(terminal.text) - set(map(chr, range(128))))
    assert "##" in brick(terminal, "fc") and "*" in brick(terminal, "fc")
    assert "::" in brick(terminal, "layer4.1") and "o" in brick(terminal, "layer4.1")


@thorough
def test_resizing_during_an_animation_keeps_the_screen_whole(tl_tui: Opener) -> None:
    terminal = ready(tl_tui())
    for number, (columns, rows) in enumerate([(120, 40), (44, 14), (300, 80), (80, 24)], 1):
        terminal.press("t")
        terminal.wait_for(rf"step {number} ·|step {number}\b|taught")
        terminal.resize(columns, rows)
        terminal.wait_for(r"fc +(▸ +)?train")
        terminal.settle()
        assert re.search(r"fc +(▸ +)?train +updated", terminal.text)
    assert "quit" in terminal.screen.display[-1]


def test_a_click_freezes_a_layer_or_moves_the_cursor(tl_tui: Opener) -> None:
    terminal = ready(tl_tui())
    row = terminal.line_of("layer3.0 ")
    terminal.click(5, row)
    terminal.wait_for(r"layer3.0 +frozen")
    terminal.click(terminal.screen.display[row].index("layer3.0"), row)
    terminal.wait_until(lambda: "▸" in brick(terminal, "layer3.0"), "the cursor at layer3.0")


def test_an_animation_frame_writes_only_the_changed_cells(tl_tui: Opener) -> None:
    terminal = ready(tl_tui())
    step(terminal, 1)
    terminal.wait_for(r"val \d+/16")
    terminal.settle(1.5)
    before = terminal.bytes_read
    terminal.press(".")
    terminal.settle(1.5)
    replay = terminal.bytes_read - before
    assert 0 < replay < 18 * 900, "18 frames of a replay, of a few hundred bytes each"
    before = terminal.bytes_read
    terminal.press("down")
    terminal.settle(1.0)
    assert 0 < terminal.bytes_read - before < 2000, "a cursor move"
    before = terminal.bytes_read
    terminal.settle(1.0)
    assert terminal.bytes_read == before, "nothing moves, nothing is sent"


def test_without_animation_the_whole_trail_shows_at_once(tl_tui: Opener) -> None:
    terminal = ready(tl_tui("--no-animation"))
    step(terminal, 1)
    terminal.wait_until(lambda: "●" in brick(terminal, "conv1"), "the whole trail")


# --- when things end ----------------------------------------------------------------------------


@thorough  # tests/app/test_engine_loss.py does the same without a terminal
def test_an_engine_killed_during_a_step_is_reported_and_R_restarts_it(tl_tui: Opener) -> None:
    terminal = ready(tl_tui("--arch", "resnet50", "--image-size", "160", "--batch-size", "8"))
    terminal.press("1")
    terminal.wait_for(r"\[1 head\]")
    terminal.press("4", "t")
    terminal.wait_for(r"\[4 full\]")
    (engine,) = terminal.children()
    os.kill(engine, signal.SIGKILL)
    terminal.wait_for(r"(?i)killed|SIGKILL|signal 9")
    terminal.press("down", "down")  # the screen still responds
    terminal.wait_until(lambda: "▸" in brick(terminal, "layer4.1"), "the cursor at layer4.1")
    terminal.press("R")
    terminal.wait_for(r"warm-up|weights")
    terminal.wait_gone(r"(?i)SIGKILL|signal 9|was killed")
    (again,) = terminal.children()
    assert again != engine
    step(terminal, 1)


def test_q_asks_after_a_step_and_ends_the_engine(tl_tui: Opener) -> None:
    terminal = ready(tl_tui())
    step(terminal, 1)
    (engine,) = terminal.children()
    terminal.press("q")
    terminal.wait_for(r"Leave\?")
    terminal.press("n")
    terminal.wait_gone(r"Leave\?")
    terminal.press("q")
    terminal.wait_for(r"Leave\?")
    terminal.press("y")
    assert terminal.wait_exit() == 0
    assert terminal.restored
    terminal.wait_until(lambda: not alive(engine), "the engine to end")


@pytest.mark.parametrize(
    "burst", ["ny", *(pytest.param(keys, marks=thorough) for keys in ("qq", "nn", "yy"))]
)
def test_keys_typed_ahead_answer_a_dialog_once(tl_tui: Opener, burst: str) -> None:
    """Over a slow connection, keys arrive in one chunk."""
    terminal = ready(tl_tui())
    step(terminal, 1)
    terminal.press("q")
    terminal.wait_for(r"Leave\?")
    os.write(terminal.master, burst.encode())
    if burst[0] == "n":
        terminal.wait_gone(r"Leave\?")
        terminal.wait_for(r"fc +train")
    else:
        assert terminal.wait_exit() == 0
    assert "Traceback" not in terminal.text and "Error" not in terminal.text


def test_an_engine_killed_while_idle_is_reported(tl_tui: Opener) -> None:
    terminal = ready(tl_tui())
    step(terminal, 1)
    terminal.wait_for(r"val \d+/16")
    (engine,) = terminal.children()
    os.kill(engine, signal.SIGKILL)
    terminal.wait_for(r"(?i)killed|SIGKILL|signal 9")


def test_q_before_the_first_step_leaves_without_a_question(tl_tui: Opener) -> None:
    terminal = ready(tl_tui())
    terminal.press("q")
    assert terminal.wait_exit() == 0 and terminal.restored


def test_ctrl_c_twice_leaves_and_ends_the_engine(tl_tui: Opener) -> None:
    terminal = ready(tl_tui())
    step(terminal, 1)
    (engine,) = terminal.children()
    terminal.press("ctrl+c")
    terminal.wait_for(r"Leave\?")
    terminal.press("ctrl+c")
    assert terminal.wait_exit() in (0, 130) and terminal.restored
    assert not alive(engine)


@pytest.mark.parametrize("number", [signal.SIGHUP, pytest.param(signal.SIGTERM, marks=thorough)])
def test_a_signal_restores_the_terminal_and_ends_the_engine(
    tl_tui: Opener, number: signal.Signals
) -> None:
    terminal = ready(tl_tui())
    (engine,) = terminal.children()
    os.kill(terminal.process.pid, number)
    assert terminal.wait_exit() == 75
    assert terminal.restored
    assert not alive(engine)


@thorough
def test_no_engine_remains_after_the_screen_is_killed(tl_tui: Opener) -> None:
    terminal = ready(tl_tui())
    (engine,) = terminal.children()
    os.kill(terminal.process.pid, signal.SIGKILL)
    terminal.process.wait()
    deadline = 2000
    while alive(engine) and deadline:
        deadline -= 1
        terminal.read(0.01)
    assert not alive(engine)


def test_bad_input_is_reported_before_the_screen_opens(tl_tui: Opener) -> None:
    terminal = tl_tui("--arch", "resnet19")
    terminal.wait_for("resnet18")
    assert "Traceback" not in terminal.text

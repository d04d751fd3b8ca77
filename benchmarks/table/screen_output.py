"""The rows for the screen's output (animation, idle, cursor move) and memory."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.harness.peer_environments import PeerUnavailable, python_with
from benchmarks.harness.watched_program import READY, MeasuredProgram
from benchmarks.table.row import Bench, Reading, Row, interleaved, quartiles, ratio

BY_HAND = "rewriting only the changed cells by hand"
FRAME_GAP_S = 0.02
"""The largest gap within one frame's output, in seconds; there are 15 frames per second."""


def animation(bench: Bench) -> Iterator[Reading]:
    """Compare the bytes of the backward pass's replay (`.`) with the minimum for its cells."""
    with MeasuredProgram.tl_tui(bench.folder("screen"), "--device", "cpu") as screen:
        screen.wait_for(READY)
        screen.press("t")
        screen.wait_for(r"step 1 [·-] ")
        screen.settle(1.5)
        replays = [replayed(screen) for _ in range(bench.count(12, 1))]
    pairs = [(written, minimal) for written, minimal, _, _ in replays]
    frames = sum(frames for *_, frames in replays) / sum(seconds for _, _, seconds, _ in replays)
    yield ratio(
        pairs,
        "bytes of a second of the replay at 80x24",
        BY_HAND,
        reach=2.0,
        of="bytes/s",
        note=f"{frames:.1f} frames a second; by hand: for every run of changed cells a cursor "
        "move, a colour where it changes, and the glyphs",
    )
    yield from torchwatch(bench)


def replayed(screen: MeasuredProgram) -> tuple[float, float, float, int]:
    """Replay the backward pass once.

    Returns:
        The bytes per second that were written, the bytes per second for rewriting only the changed
        cells, the seconds, and the number of frames.
    """
    screen.settle(0.5)
    began = time.perf_counter()
    written, minimal, frames = screen.bytes_read, 0, 0
    last, before = began, screen.cells()
    screen.press(".")
    while time.perf_counter() - last < 0.6:
        if not screen.read(0.05):
            continue
        while screen.read(FRAME_GAP_S):
            pass
        last, after = screen.read_at, screen.cells()
        cost = bytes_by_hand(before, after)
        frames += cost > 0
        minimal += cost
        before = after
    seconds = last - began
    return (screen.bytes_read - written) / seconds, minimal / seconds, seconds, frames


def bytes_by_hand(before: list, after: list) -> int:
    """Return the bytes for rewriting only the changed cells.

    Each run of changed cells needs a cursor move, a colour where it changes, and its characters.
    """
    total = 0
    style = None
    for y, (old, new) in enumerate(zip(before, after, strict=True)):
        x = 0
        while x < len(new):
            if old[x] == new[x]:
                x += 1
                continue
            total += len(f"\x1b[{y + 1};{x + 1}H")
            while x < len(new) and old[x] != new[x]:
                if new[x][1:] != style:
                    style = new[x][1:]
                    total += len("\x1b[38;5;196m")
                total += len(new[x][0].encode())
                x += 1
    return total


def torchwatch(bench: Bench) -> Iterator[Reading]:
    """Measure the output per second and the processor share of torchwatch's demo."""
    case = "torchwatch --demo: bytes a second"
    try:
        if bench.peers is None:
            raise PeerUnavailable("the peers were omitted (--peers none).")
        python = python_with(bench.peers, "torchwatch", "torchwatch-tui")
    except PeerUnavailable as reason:
        yield Reading(case, "nothing", note=f"not measured: {reason}")
        return
    command = [python, "-c", "from torchwatch.cli import main; main()", "--demo"]
    with MeasuredProgram(command, bench.folder("screen")) as screen:
        screen.wait_until(lambda: screen.bytes_read > 2000, "its first frame")
        screen.settle(0.05)
        rate, busy = watched_for(screen, 2.0 if bench.quick else 10.0)
    yield Reading(
        case, "nothing", value=rate, unit="bytes/s", count=1, note=f"{busy:.1%} of a core"
    )


def watched_for(screen: MeasuredProgram, seconds: float) -> tuple[float, float]:
    """Return the bytes per second and the share of a core, without waiting for a quiet terminal."""
    bytes_before, busy_before = screen.bytes_read, screen.processor_s()
    began = time.perf_counter()
    while (left := seconds - (time.perf_counter() - began)) > 0:
        screen.read(left)
    passed = time.perf_counter() - began
    return (screen.bytes_read - bytes_before) / passed, (
        screen.processor_s() - busy_before
    ) / passed


def idle(bench: Bench) -> Iterator[Reading]:
    """Measure output and processor share while nothing happens."""
    folder = bench.folder("screen")
    with (
        MeasuredProgram.tl_tui(folder, "--device", "cpu") as screen,
        MeasuredProgram.trivial(folder) as trivial,
    ):
        screen.wait_for(READY)
        trivial.wait_for("line 3")
        screen.settle(1.0 if bench.quick else 4.0)  # the step cost is measured after opening
        found, theirs = [], []
        for _ in range(bench.count(5, 1)):
            found.append(screen.idle(1.0 if bench.quick else 8.0))
            theirs.append(trivial.idle(1.0 if bench.quick else 8.0))
    for index, (case, unit, reach, scale) in enumerate(
        [("idle: bytes a second", "bytes/s", 0.0, 1), ("idle: of a core", "%", 0.5, 100)]
    ):
        low, middle, high = quartiles([scale * figures[index] for figures in found])
        _, other, _ = quartiles([scale * figures[index] for figures in theirs])
        yield Reading(
            case,
            "nothing",
            value=middle,
            low=low,
            high=high,
            unit=unit,
            count=len(found),
            reach=reach,
            ours=middle,
            theirs=other,
            of=f"{unit}, trivial Textual app",
        )


def cursor_move(bench: Bench) -> Iterator[Reading]:
    """Measure the bytes of one press of an arrow key, including the inspector and the caption."""
    folder = bench.folder("screen")
    with (
        MeasuredProgram.tl_tui(folder, "--device", "cpu") as screen,
        MeasuredProgram.trivial(folder) as trivial,
    ):
        screen.wait_for(READY)
        trivial.wait_for("line 3")
        screen.settle(1.0 if bench.quick else 4.0)
        keys = ["down", "down", "down", "up", "up", "up"] * bench.count(5, 1)
        ours = [float(screen.bytes_of(key)) for key in keys]
        theirs = [float(trivial.bytes_of(key)) for key in keys[:6]]
    low, middle, high = quartiles(ours)
    yield Reading(
        "a cursor move",
        "nothing",
        value=middle,
        low=low,
        high=high,
        unit="bytes",
        count=len(ours),
        reach=500,
        ours=middle,
        theirs=quartiles(theirs)[1],
        of="bytes, trivial Textual app's list",
        note=f"most: {max(ours):.0f} bytes",
    )


def memory(bench: Bench) -> Iterator[Reading]:
    """Measure the resident memory of the screen's process after a step, without the engine's."""
    folder = bench.folder("screen")

    def ours() -> float:
        with MeasuredProgram.tl_tui(folder, "--device", "cpu") as screen:
            screen.wait_for(READY)
            screen.press("t")
            screen.wait_for(r"step 1 [·-] ")
            screen.settle(1.0)
            return screen.resident() / 2**20

    def trivial() -> float:
        with MeasuredProgram.trivial(folder) as screen:
            screen.wait_for("line 3")
            screen.press("down")
            screen.settle(1.0)
            return screen.resident() / 2**20

    pairs = interleaved(ours, trivial, bench.count(3, 1), warm=0)
    yield ratio(pairs, "resident memory of the screen", "trivial Textual app", reach=1.3, of="MiB")


ROWS = [
    Row("animation-bytes", "bytes of a second of animation", BY_HAND, animation),
    Row("idle", "bytes and processor while idle", "nothing", idle),
    Row("cursor-bytes", "bytes of a cursor move", "nothing", cursor_move),
    Row("screen-memory", "resident memory of the screen", "a trivial Textual app", memory),
]

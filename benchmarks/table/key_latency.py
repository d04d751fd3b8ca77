"""The row for the time from a key to changed cells while a model trains on all cores."""

from __future__ import annotations

import random
from collections.abc import Iterator

from benchmarks.harness.watched_program import MeasuredProgram
from benchmarks.table.row import Bench, Reading, Row, percentile, quartiles

IDLE = "the same key in a trivial, idle Textual app"
BLOCK = 20
"""The number of keys per block, before the other program's block."""
BETWEEN_S = (0.03, 0.12)
"""The range of the random pause between two keys in seconds; random to avoid frame alignment."""


def keys(bench: Bench) -> Iterator[Reading]:
    """Alternate blocks of keys: ours while training, and the trivial app's while ours is paused."""
    folder = bench.folder("keys")
    ours: list[float] = []
    theirs: list[float] = []
    draw = random.Random(0)
    with (
        MeasuredProgram.tl_tui(folder, "--epochs", "1000", "--device", "cpu") as screen,
        MeasuredProgram.trivial(folder) as trivial,
    ):
        screen.wait_for(r"Press t|BatchNorm statistics")
        trivial.wait_for("line 3")
        trivial.settle()
        for _ in range(bench.count(15, 1)):
            screen.press("r")
            screen.wait_for(r"r pause|step \d+ ")
            step = screen.wait_for(r"step (\d+) ")[1]
            screen.wait_until(lambda step=step: f"step {step} " not in screen.text, "more steps")
            for number in range(bench.count(BLOCK, 4)):
                ours.append(screen.latency("up" if number % 2 else "down", screen.cursor))
                rest(screen, draw)
            screen.press("r")
            screen.wait_for(r"[Pp]aus")
            screen.settle(1.0)
            for number in range(bench.count(BLOCK, 4)):
                theirs.append(trivial.latency("up" if number % 2 else "down", trivial.cells))
                rest(trivial, draw)
    for share, name, reach in ((0.99, "p99", 2.0), (0.5, "p50", None)):
        own, other = percentile(ours, share), percentile(theirs, share)
        quarters = [
            percentile(ours[first::4], share) / percentile(theirs[first::4], share)
            for first in range(4)
        ]
        low, _, high = quartiles(quarters)
        yield Reading(
            case=f"{name} of {len(ours)} keys, resnet18 training on the CPU",
            against=IDLE,
            value=own / other,
            low=low,
            high=high,
            count=len(ours),
            reach=reach,
            ours=1e3 * own,
            theirs=1e3 * other,
            of="ms",
            note="spread: of the same figure over four parts of the keys" if reach else "",
        )


def rest(screen: MeasuredProgram, draw: random.Random) -> None:
    """Pause for a random time while reading the program's output."""
    from time import perf_counter

    end = perf_counter() + draw.uniform(*BETWEEN_S)
    while (left := end - perf_counter()) > 0:
        screen.read(left)


ROWS = [Row("key-latency", "key to changed pixels while training, p99", IDLE, keys)]

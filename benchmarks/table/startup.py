"""The rows for the time from the command to the first frame and to the first finished step."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness.watched_program import MeasuredProgram
from benchmarks.table.row import Bench, Reading, Row, interleaved, ratio
from tests.support.pseudo_terminal import ROOT

BARE = """
import torch, torchvision
import torch.nn.functional as F
model = torchvision.models.resnet18(num_classes=2)
for name, parameter in model.named_parameters():
    parameter.requires_grad = name.startswith("fc.")
optimizer = torch.optim.SGD(model.fc.parameters(), lr=1e-3, momentum=0.9)
loss = F.cross_entropy(model(torch.randn(16, 3, 64, 64)), torch.randint(0, 2, (16,)))
loss.backward()
optimizer.step()
print(loss.item(), flush=True)
"""
"""A program with the demo's first step in plain PyTorch: only the head is trained, on a CPU."""


def first_frame(bench: Bench) -> Iterator[Reading]:
    """Measure the time to the first content; the engine loads torch in the meantime."""
    folder = bench.folder("start-up")

    def ours(*options: str) -> float:
        with MeasuredProgram.tl_tui(folder, *options) as screen:
            return screen.seconds_to(r"torch|fc +")

    def trivial() -> float:
        with MeasuredProgram.trivial(folder) as screen:
            return screen.seconds_to("line 3")

    pairs = interleaved(ours, trivial, bench.count(20))
    yield ratio(pairs, "exec to the list of what is loading", "trivial Textual app", reach=1.25)


def first_step(bench: Bench) -> Iterator[Reading]:
    """Press `t` as soon as the screen appears, and measure until it shows the finished step."""
    folder = bench.folder("start-up")

    def ours() -> float:
        with MeasuredProgram.tl_tui(folder, "--device", "cpu", "--weights", "demo") as screen:
            screen.wait_for(r"torch|fc +")
            screen.press("t")
            return screen.seconds_to(r"step 1 [·-] ")

    def bare() -> float:
        began = time.perf_counter()
        program = [sys.executable, "-c", BARE]
        with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=Path(ROOT)) as process:
            assert process.stdout is not None
            process.stdout.readline()
            seconds = time.perf_counter() - began
        return seconds

    pairs = interleaved(ours, bare, bench.count(8, 1), warm=0 if bench.quick else 1)
    yield ratio(
        pairs,
        "exec to the first finished step on the demo",
        "bare Python: imports and one step",
        reach=1.2,
    )


ROWS = [
    Row("first-frame", "exec to first frame with content", "a trivial Textual app", first_frame),
    Row("first-step", "exec to first finished step", "imports and a bare step", first_step),
]

"""Measure the size of a journal of many steps, and the time to open it.

    python -m benchmarks.studies.long_journal [--steps N]

The journal writer gets made-up measurements of a ResNet-18 at the default cadence, with every tenth
step measured. Prints the results and writes `benchmarks/results/long_journal.json`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from tests.support.stack_messages import resnet18_stack
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.training import LayerMeasurement, StepTaken
from tl_tui.runs.journal_writer import JOURNAL, JournalWriter
from tl_tui.runs.run_reader import read_run
from tl_tui.runs.step_line import step_fields

PROBE_EVERY = RunConfig().probe_every
LAUNCHER = Path(__file__).resolve().parents[2] / "tl_tui" / "__main__.py"
RESULTS = Path(__file__).parents[1] / "results" / "long_journal.json"


def write(folder: Path, steps: int) -> None:
    """Write a run directory whose journal has `steps` steps."""
    numbers = random.Random(0)
    rows = resnet18_stack().rows
    record = JournalWriter(folder)
    config = msgspec.to_builtins(RunConfig(weights="none"))
    record.begin({"arch": "resnet18", "weights": "random", "classes": ["a"], "config": config})
    for step in range(1, steps + 1):
        measured = step % PROBE_EVERY == 1
        layers = tuple(
            LayerMeasurement(
                "updated",
                numbers.lognormvariate(-3, 2),
                numbers.uniform(1, 50),
                numbers.lognormvariate(-9, 2),
                0,
                numbers.uniform(0, 9),
            )
            for _ in rows
        )
        taken = StepTaken(
            start=0,
            step=step,
            epoch=1,
            loss=math.exp(-step / 3e4) + numbers.random() / 9,
            correct=numbers.randint(0, 32),
            batch=32,
            seconds=numbers.uniform(0.005, 0.02),
            mask=(0,),
            rows=layers if measured else (),
        )
        record.note("step", start=0, **step_fields(rows, taken))
    record.close()


def seconds(*command: str) -> float:
    """Run a process three times. Return the shortest wall-clock time in seconds."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        write(run, steps)
        size = (run / JOURNAL).stat().st_size
        began = time.perf_counter()
        read = read_run(run)
        reading = time.perf_counter() - began
        assert read.steps == steps
        show = seconds(str(LAUNCHER), "show", str(run))
        nothing = seconds(str(LAUNCHER), "show", "--help")
    result = {
        "steps": steps,
        "megabytes": round(size / 1e6, 2),
        "read_s": round(reading, 3),
        "show_s": round(show, 3),
        "show_help_s": round(nothing, 3),
    }
    print(json.dumps(result, indent=1))
    if steps == 100_000:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Run a script and hold its losses against the journal's. Imports no torch."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tl_tui.common.errors import Problem
from tl_tui.runs.run_reader import find_run, read_run

AGREE_STEPS = 20
"""On a GPU sums are taken in another order, and what begins in the last digit grows from there."""
AGREE = 1e-3
"""Relative difference of a loss within these first steps."""
LOSS = re.compile(r"step (\d+): loss (\S+)")


class CheckProblem(Problem):
    """The script ended before its end; the text says with what."""


@dataclass(frozen=True)
class Comparison:
    """The losses of a script beside the journal's."""

    steps: int
    equal: int
    """How many are the same to the bit."""
    largest: float
    """The largest relative difference; infinite if only one of the two is a number."""
    at_step: int
    agrees: bool


def check_script(
    run: str, script: Path, on_step: Callable[[int, int], None] = lambda step, steps: None
) -> Comparison:
    """Run a script by plain Python and compare.

    Args:
        run: The run it was written from.
        script: The script.
        on_step: Told every step, and of how many.

    Raises:
        CheckProblem: it did not come to its end.
    """
    read = read_run(find_run(run))
    losses = next(start.losses for start in reversed(read.starts) if start.losses)
    threads = str(read.config["threads"])
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    found: list[tuple[int, float]] = []
    with (
        tempfile.TemporaryDirectory() as folder,  # the script saves its best weights there
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [sys.executable, "-I", os.path.abspath(script)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if match := LOSS.match(line):
                    found.append((int(match[1]), float(match[2])))
                    on_step(found[-1][0], len(losses))
        except BaseException:
            process.kill()
            raise
        code = process.wait()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip().splitlines()
    if code:
        why = said[-1] if said else f"exit code {code}"
        raise CheckProblem(f"{script} ended after {len(found):,} of {len(losses):,} steps: {why}")
    return compared(losses, found)


def compared(journal: list[tuple[int, float]], script: list[tuple[int, float]]) -> Comparison:
    """Two rows of losses, step by step; NaN is NaN's equal.

    To agree, they have the same steps, and their first losses differ by a thousandth at most.
    """
    equal, largest, at_step, agrees = 0, 0.0, 0, len(journal) == len(script)
    for (step, one), (other_step, other) in zip(journal, script, strict=False):
        difference = _difference(one, other)
        equal += difference == 0
        if difference > largest:
            largest, at_step = difference, step
        if step != other_step or (step <= AGREE_STEPS and difference > AGREE):
            agrees = False
    return Comparison(len(journal), equal, largest, at_step, agrees)


def _difference(one: float, other: float) -> float:
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.inf
    return abs(one - other) / max(abs(one), abs(other))

"""Running an exported script and comparing its losses with the run's journal."""

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

COMPARED_STEPS = 20
"""The number of first steps in which the losses must agree. A GPU adds in another order, and a
difference in the last digit grows with the steps."""
TOLERANCE = 1e-3
"""The largest relative difference of a loss within the compared steps."""
LOSS = re.compile(r"step (\d+): loss (\S+)")


class CheckProblem(Problem):
    """The script did not run to its end; the text says where and why it stopped."""


@dataclass(frozen=True)
class Comparison:
    """How the losses of a script differ from those in the journal."""

    steps: int
    equal: int
    """The number of losses that are bit-identical."""
    largest: float
    """The largest relative difference; infinite if a loss is not finite."""
    at_step: int
    """The step with the largest difference."""
    agrees: bool


def check_script(
    run: str, script: Path, on_step: Callable[[int, int], None] = lambda step, steps: None
) -> Comparison:
    """Run a script with plain Python and compare its losses with the journal's.

    Args:
        run: The run from which the script was exported.
        script: The script.
        on_step: Called after each step with its number and the number of all steps.

    Raises:
        CheckProblem: The script did not run to its end.
    """
    read = read_run(find_run(run))
    journal = next(start.losses for start in reversed(read.starts) if start.losses)
    threads = str(read.config["threads"])
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "PYTHONIOENCODING": "utf-8",
    }
    losses: list[tuple[int, float]] = []
    with (
        tempfile.TemporaryDirectory() as folder,  # The script saves its best weights there.
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [sys.executable, "-I", os.path.abspath(script)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if match := LOSS.match(line):
                    losses.append((int(match[1]), float(match[2])))
                    on_step(losses[-1][0], len(journal))
        except BaseException:
            process.kill()
            raise
        code = process.wait()
        errors.seek(0)
        error_lines = errors.read().decode(errors="replace").strip().splitlines()
    if code:
        why = error_lines[-1] if error_lines else f"exit code {code}"
        raise CheckProblem(
            f"{script} stopped after {len(losses):,} of {len(journal):,} steps: {why}"
        )
    return compare_losses(journal, losses)


def compare_losses(journal: list[tuple[int, float]], script: list[tuple[int, float]]) -> Comparison:
    """Compare two lists of (step, loss) pairs step by step; NaN equals NaN.

    They agree if both have the same steps and their first losses differ by at most `TOLERANCE`.
    """
    equal, largest, at_step, agrees = 0, 0.0, 0, len(journal) == len(script)
    for (step, expected), (other_step, actual) in zip(journal, script, strict=False):
        difference = _relative_difference(expected, actual)
        equal += difference == 0
        if difference > largest:
            largest, at_step = difference, step
        if step != other_step or (step <= COMPARED_STEPS and difference > TOLERANCE):
            agrees = False
    return Comparison(len(journal), equal, largest, at_step, agrees)


def _relative_difference(expected: float, actual: float) -> float:
    if expected == actual or (math.isnan(expected) and math.isnan(actual)):
        return 0.0
    if not (math.isfinite(expected) and math.isfinite(actual)):
        return math.inf
    return abs(expected - actual) / max(abs(expected), abs(actual))

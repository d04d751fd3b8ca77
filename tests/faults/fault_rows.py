"""One row of the table of faults: a fault done many times. Apart from the program, so that a
process of its own can do it."""

from __future__ import annotations

import random
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from tests.faults.fault_table import Fault, Place, Skipped

MOST_ATTEMPTS = 5
MOST_LIVES = 5
"""Of a run that is killed again and again."""


@dataclass
class Row:
    fault: Fault
    tried: int = 0
    survived: int = 0
    skipped: str = ""
    seconds: float = 0.0


def done(fault: Fault, times: int, seed: int, shared: Path) -> Row:
    """Do a fault until it was done so often; every time in a place of its own."""
    row, attempt, began = Row(fault), 0, time.monotonic()
    while row.tried < times and attempt < MOST_ATTEMPTS * times:
        chance = random.Random(f"{seed} {fault.name} {attempt}")
        with tempfile.TemporaryDirectory(prefix="fault-", ignore_cleanup_errors=True) as folder:
            lives = min(MOST_LIVES, times - row.tried)
            place, count = Place(Path(folder), shared / "images", chance, lives), 1
            try:
                did = fault.do(place)
                place.leave()
                count = 1 if did is None else did  # none if the run was over before its time came
                row.survived += count
            except Skipped as why:
                row.skipped = str(why)
                break
            except Exception:
                print(f"{fault.name}, seed {seed}, attempt {attempt}:", file=sys.stderr)
                traceback.print_exc()
                place.clear()
            row.tried += count
        attempt += 1
    row.seconds = time.monotonic() - began
    return row


def table(rows: list[Row]) -> list[str]:
    """As a table of Markdown, which a terminal shows as well."""
    width = max(len(row.fault.name) for row in rows)
    lines = [f"| {'fault':<{width}} | tried | survived |", f"| {'-' * width} | ----: | -------: |"]
    for row in rows:
        survived = row.skipped or f"{row.survived:>8}"
        lines.append(f"| {row.fault.name:<{width}} | {row.tried:>5} | {survived} |")
    return lines

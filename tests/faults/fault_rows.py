"""Inject one fault many times: a row of the table.

A module of its own, so that a worker process can import it.
"""

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
"""How often one run may be killed and resumed, at most."""


@dataclass
class Row:
    fault: Fault
    tried: int = 0
    survived: int = 0
    skipped: str = ""
    seconds: float = 0.0


def done(fault: Fault, times: int, seed: int, shared: Path) -> Row:
    """Inject a fault until it was injected `times` times, each time in a new folder."""
    row, attempt, began = Row(fault), 0, time.monotonic()
    while row.tried < times and attempt < MOST_ATTEMPTS * times:
        chance = random.Random(f"{seed} {fault.name} {attempt}")
        with tempfile.TemporaryDirectory(prefix="fault-", ignore_cleanup_errors=True) as folder:
            lives = min(MOST_LIVES, times - row.tried)
            place, count = Place(Path(folder), shared / "images", chance, lives), 1
            try:
                did = fault.do(place)
                place.leave()
                count = 1 if did is None else did  # 0 if the run had ended before the fault
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
    """Return the rows as a Markdown table."""
    width = max(len(row.fault.name) for row in rows)
    lines = [f"| {'fault':<{width}} | tried | survived |", f"| {'-' * width} | ----: | -------: |"]
    for row in rows:
        survived = row.skipped or f"{row.survived:>8}"
        lines.append(f"| {row.fault.name:<{width}} | {row.tried:>5} | {survived} |")
    return lines

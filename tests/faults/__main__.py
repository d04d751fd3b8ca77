"""`python -m tests.faults`: do the faults and print the table; see the package."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from tests.faults import content, numbers, processes, screen, storage, strangers  # noqa: F401
from tests.faults.register import FAULTS, Fault, Place, Skipped
from tests.sessions import draw_images

MOST_ATTEMPTS = 5
MOST_LIVES = 5
"""Of a run that is killed again and again."""


@dataclass
class Row:
    fault: Fault
    tried: int = 0
    survived: int = 0
    skipped: str = ""


def done(fault: Fault, times: int, seed: int, shared: Path) -> Row:
    """Do a fault until it was done so often; every time in a place of its own."""
    row, attempt = Row(fault), 0
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
                return row
            except Exception:
                print(f"{fault.name}, seed {seed}, attempt {attempt}:", file=sys.stderr)
                traceback.print_exc()
            row.tried += count
        attempt += 1
    return row


def table(rows: list[Row]) -> list[str]:
    """As a table of Markdown, which a terminal shows as well."""
    width = max(len(row.fault.name) for row in rows)
    lines = [f"| {'fault':<{width}} | tried | survived |", f"| {'-' * width} | ----: | -------: |"]
    for row in rows:
        survived = row.skipped or f"{row.survived:>8}"
        lines.append(f"| {row.fault.name:<{width}} | {row.tried:>5} | {survived} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--times", type=int, default=1, help="how often each is done, at least")
    parser.add_argument(
        "--full", action="store_true", help="as often as docs/reliability.md has it"
    )
    parser.add_argument("--only", default="", help="faults whose name has this in it")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if options.only.lower() in fault.name.lower()]
    if not chosen:
        parser.error(f"--only {options.only}: no fault is called so")
    rows = []
    with tempfile.TemporaryDirectory(prefix="faults-") as shared:
        draw_images(Path(shared) / "images")
        for fault in chosen:
            began = time.monotonic()
            rows.append(
                done(
                    fault, fault.full if options.full else options.times, options.seed, Path(shared)
                )
            )
            seconds = time.monotonic() - began
            print(f"{table(rows[-1:])[-1]} {seconds:.0f} s", file=sys.stderr, flush=True)
    print("\n".join(table(rows)))
    return int(any(row.tried > row.survived for row in rows))


if __name__ == "__main__":
    sys.exit(main())

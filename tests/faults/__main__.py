"""Inject the faults and print the table; see the docstring of the package."""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.faults import (  # noqa: F401
    hostile_clients,
    image_content,
    not_finite,
    processes,
    screen_faults,
    storage,
)
from tests.faults.fault_rows import Row, done, table
from tests.faults.fault_table import FAULTS, Place, at_least_one
from tests.faults.training import reference
from tests.support.driven_session import draw_images


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--times", type=at_least_one, default=1, help="how often each is done, at least"
    )
    parser.add_argument(
        "--full", action="store_true", help="as often as docs/reliability.md has it"
    )
    parser.add_argument("--only", default="", help="faults whose name has this in it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--jobs", type=at_least_one, default=1, help="how many faults at the same time"
    )
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if options.only.lower() in fault.name.lower()]
    if not chosen:
        parser.error(f"--only {options.only}: no fault is called so")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        shared = Path(folder)
        draw_images(shared / "images")
        reference(
            Place(shared, shared / "images", random.Random(0))
        )  # now, so that no two processes train it
        pool = ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn"))
        with pool:
            counted = [(fault, fault.full if options.full else options.times) for fault in chosen]
            waiting = [
                pool.submit(done, fault, times, options.seed, shared)
                for fault, times in sorted(counted, key=lambda one: -one[1])  # the longest first
            ]
            for row in as_completed(waiting):
                rows.append(row.result())
                line = table(rows[-1:])[-1]
                print(f"{line} {rows[-1].seconds:.0f} s", file=sys.stderr, flush=True)
    rows.sort(key=lambda row: FAULTS.index(row.fault))
    print("\n".join(table(rows)))
    return int(any(row.tried > row.survived for row in rows))


if __name__ == "__main__":
    sys.exit(main())

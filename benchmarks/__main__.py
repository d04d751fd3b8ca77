"""Measure the benchmark table and write it as JSON.

    python -m benchmarks [--rows probe,screen-memory] [--quick] [--out FILE] [--peers DIR|none]

Every figure is a ratio of two things that were measured alternately in this run: the median of many
pairs, with its quartiles. The peers are installed into separate environments. If the output file
holds a table from the same machine, the rows that are not measured now are kept.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import platformdirs

from benchmarks.table.row import Bench, Reading, Row

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the requested rows. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", default="*", help="row names or patterns, separated by commas")
    parser.add_argument("--list", action="store_true", help="list the rows and exit")
    parser.add_argument("--quick", action="store_true", help="only check that the rows run")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="JSON file to write (default: results/table.json)"
    )
    parser.add_argument(
        "--peers",
        default=os.path.join(platformdirs.user_cache_dir("tl-tui"), "peers"),
        metavar="DIR",
        help="folder for the peers' environments, or none to omit the peers",
    )
    options = parser.parse_args(arguments)
    try:
        rows = chosen(options.rows)
    except ValueError as error:
        parser.error(str(error))  # exits with code 2
    if options.list:
        for row in rows:
            print(f"{row.name:20} {row.what}; against {row.against}")
        return 0
    out = options.out or (None if options.quick else RESULTS / "table.json")
    if out is not None and not out.parent.is_dir():
        parser.error(f"--out {out}: the folder {out.parent} does not exist")
    results: list[dict] = []
    head = machine()
    kept = measured_before(out, head, {row.name for row in rows}) if out is not None else []
    print(f"{head['device']} · {head['processor']} · load {head['load'][0]:.1f} at the start")
    with tempfile.TemporaryDirectory(prefix="tl-tui-bench-") as scratch:
        bench = Bench(
            quick=options.quick,
            peers=None if options.peers == "none" else Path(options.peers).absolute(),
            scratch=Path(scratch),
            device=cuda_device(),
        )
        failed = False
        for row in rows:
            began = time.perf_counter()
            load = os.getloadavg()[0]
            lines, failure = measured(row, bench)
            failed = failed or failure
            results += [
                {"row": row.name, "what": row.what, "load": load, **line.described()}
                for line in lines
            ]
            if not failure:
                print(f"  {row.name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
            if out is not None:  # after every row, so that an interrupted run can be continued
                out.write_text(
                    json.dumps({**head, "rows": in_order(kept + results)}, indent=1) + "\n"
                )
    missed = [line for line in results if line["reached"] is False]
    print(f"{len(results)} figures; {len(missed)} exceed their goal.")
    return 1 if failed else 0


def measured_before(out: Path, head: dict, again: set[str]) -> list[dict]:
    """Return the lines of an earlier table from this machine, without the rows in `again`."""
    try:
        before = json.loads(out.read_text())
    except (OSError, ValueError):
        return []
    same = ("device", "processor", "threads", "python", "versions")
    if not isinstance(before, dict) or any(before.get(name) != head[name] for name in same):
        return []
    return [line for line in before["rows"] if line["row"] not in again]


def in_order(lines: list[dict]) -> list[dict]:
    """Return the lines in the table's order."""
    from benchmarks.table.all_rows import ROWS

    names = [row.name for row in ROWS]
    lines = [line for line in lines if line["row"] in names]  # drops rows that no longer exist
    return sorted(lines, key=lambda line: names.index(line["row"]))


def chosen(patterns: str) -> list[Row]:
    """Return the rows that match names or patterns, in the table's order.

    Args:
        patterns: Row names or shell patterns, separated by commas.

    Raises:
        ValueError: A pattern matches no row.
    """
    from benchmarks.table.all_rows import ROWS

    wanted = [word.strip() for word in patterns.split(",") if word.strip()]
    for pattern in wanted:
        if not any(fnmatch.fnmatch(row.name, pattern) for row in ROWS):
            names = ", ".join(row.name for row in ROWS)
            raise ValueError(f"--rows {pattern}: there is no such row. The rows are {names}")
    return [row for row in ROWS if any(fnmatch.fnmatch(row.name, name) for name in wanted)]


def measured(row: Row, bench: Bench) -> tuple[list[Reading], bool]:
    """Measure a row and print each reading; an exception does not stop the other rows.

    Returns:
        The readings, and whether the row failed.
    """
    lines: list[Reading] = []
    print(f"\n{row.name}: {row.what}")
    try:
        for reading in row.readings(bench):
            lines.append(reading)
            print(reading_text(reading), flush=True)
    except Exception as error:
        import traceback

        traceback.print_exc()
        lines.append(Reading(row.what, row.against, note=f"not measured: it failed: {error}"))
        return lines, True
    return lines, False


def reading_text(reading: Reading) -> str:
    """Return the line that is printed for a reading."""
    if reading.value is None:
        return f"  {reading.case} / {reading.against}: {reading.note}"
    low, high = reading.low or reading.value, reading.high or reading.value
    sign = {True: "✓", False: "✗", None: " "}[reading.reached]
    goal = f"≤ {number(reading.reach)}" if reading.reach is not None else ""
    spread = f"({number(low)} to {number(high)})"
    both = ""
    if reading.ours is not None and reading.theirs is not None:
        both = f" [{number(reading.ours)} / {number(reading.theirs)} {reading.of}]"
    note = f"\n      {reading.note}" if reading.note else ""
    return (
        f"{sign} {number(reading.value):>8} {reading.unit} {spread:22} {goal:8} "
        f"{reading.case} / {reading.against}{both}{note}"
    )


def number(value: float) -> str:
    """Format a number with three or four significant digits."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def cuda_device() -> str | None:
    """Return the CUDA device to measure on, or None if torch cannot use one."""
    import torch

    return "cuda" if torch.cuda.is_available() else None


def machine() -> dict:
    """Return a description of this machine, its software versions and its current load."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return {
        "device": device,
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "processor": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("torch", "torchvision", "textual")},
        "load": os.getloadavg(),
    }


if __name__ == "__main__":
    sys.exit(main())

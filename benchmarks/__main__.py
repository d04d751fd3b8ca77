"""The whole table, side by side in one run.

    python -m benchmarks [--rows probe,screen-memory] [--quick] [--out FILE] [--peers DIR|none]

Prints a table and writes it as JSON. Every figure is a ratio of two things that were measured in
turn in this run, the median of many, with its quartiles; peers come from the registry, into
environments of their own. A table that was begun on the same machine is gone on with: of other
rows than those asked for, it keeps what it has.
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
    """Measure the rows that were asked for. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", default="*", help="names or patterns, comma-separated")
    parser.add_argument("--list", action="store_true", help="only say which rows there are")
    parser.add_argument("--quick", action="store_true", help="only see that they run")
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON (results/table.json)")
    parser.add_argument(
        "--peers",
        default=os.path.join(platformdirs.user_cache_dir("tl-tui"), "peers"),
        metavar="DIR",
        help="where the peers' environments are kept, or none to leave the peers out",
    )
    options = parser.parse_args(arguments)
    try:
        rows = chosen(options.rows)
    except ValueError as error:
        parser.error(str(error))  # ends with 2
    if options.list:
        for row in rows:
            print(f"{row.name:20} {row.what}; against {row.against}")
        return 0
    out = options.out or (None if options.quick else RESULTS / "table.json")
    if out is not None and not out.parent.is_dir():
        parser.error(f"--out {out}: there is no folder {out.parent}")
    found: list[dict] = []
    head = machine()
    kept = measured_before(out, head, {row.name for row in rows}) if out is not None else []
    print(f"{head['device']} · {head['processor']} · load {head['load'][0]:.1f} at the beginning")
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
            found += [
                {"row": row.name, "what": row.what, "load": load, **line.described()}
                for line in lines
            ]
            if not failure:
                print(f"  {row.name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
            if out is not None:  # after every row: a long run may be ended
                out.write_text(
                    json.dumps({**head, "rows": in_order(kept + found)}, indent=1) + "\n"
                )
    missed = [line for line in found if line["reached"] is False]
    print(f"{len(found)} figures; {len(missed)} above what they are to reach.")
    return 1 if failed else 0


def measured_before(out: Path, head: dict, again: set[str]) -> list[dict]:
    """The rows of a table that were measured before on this machine, but those measured again."""
    try:
        before = json.loads(out.read_text())
    except (OSError, ValueError):
        return []
    same = ("device", "processor", "threads", "python", "versions")
    if not isinstance(before, dict) or any(before.get(name) != head[name] for name in same):
        return []
    return [line for line in before["rows"] if line["row"] not in again]


def in_order(lines: list[dict]) -> list[dict]:
    """As the table has its rows."""
    from benchmarks.table.all_rows import ROWS

    names = [row.name for row in ROWS]
    lines = [line for line in lines if line["row"] in names]  # a row may have gone since
    return sorted(lines, key=lambda line: names.index(line["row"]))


def chosen(patterns: str) -> list[Row]:
    """The rows that names or patterns stand for, in the table's order.

    Raises:
        ValueError: a pattern stands for none.
    """
    from benchmarks.table.all_rows import ROWS

    wanted = [word.strip() for word in patterns.split(",") if word.strip()]
    for pattern in wanted:
        if not any(fnmatch.fnmatch(row.name, pattern) for row in ROWS):
            names = ", ".join(row.name for row in ROWS)
            raise ValueError(f"--rows {pattern}: there is no such row; there are {names}")
    return [row for row in ROWS if any(fnmatch.fnmatch(row.name, one) for one in wanted)]


def measured(row: Row, bench: Bench) -> tuple[list[Reading], bool]:
    """The readings of a row, printed as they come, and whether it failed.

    One row that fails does not take the others with it.
    """
    lines: list[Reading] = []
    print(f"\n{row.name}: {row.what}")
    try:
        for reading in row.readings(bench):
            lines.append(reading)
            print(line_of(reading), flush=True)
    except Exception as error:
        import traceback

        traceback.print_exc()
        lines.append(Reading(row.what, row.against, note=f"not measured: it failed: {error}"))
        return lines, True
    return lines, False


def line_of(reading: Reading) -> str:
    """A reading as the table shows it."""
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
    """Three or four digits that tell something."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def cuda_device() -> str | None:
    """The CUDA device to measure on, or None if torch can use none."""
    import torch

    return "cuda" if torch.cuda.is_available() else None


def machine() -> dict:
    """What the figures were taken on, and how busy it was before."""
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

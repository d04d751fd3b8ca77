"""Compare the cost of a key on ResNet-152 with ResNet-18, in one run.

    python -m benchmarks.studies.key_on_deep_network [--rounds 40]

Both apps run at the same time in pseudo-terminals of 80x24 and receive keys alternately. Measured
are the time from the write of a key to the first changed cell of the emulated screen, and the bytes
until the terminal is quiet. Prints a table and writes `benchmarks/results/keypress.json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from tests.support.pseudo_terminal import ROOT, Terminal

RESULTS = Path(__file__).parents[1] / "results"
KEYS = (("cursor", "down", "up"), ("toggle", "space", "space"), ("strategy", "1", "4"))


def cost(terminal: Terminal, key: str) -> tuple[float, int]:
    """Press a key. Return the milliseconds to the first changed cell, and the bytes."""
    terminal.settle(0.25)
    before, bytes_before = terminal.text, terminal.bytes_read
    styles = styled(terminal)
    began = time.perf_counter()
    terminal.press(key)
    while terminal.text == before and styled(terminal) == styles:
        terminal.read(0.001)
        if time.perf_counter() - began > 10:
            raise SystemExit(f"{key!r} changed nothing:\n{terminal.text}")
    first = time.perf_counter() - began
    terminal.settle(0.25)
    return 1e3 * first, terminal.bytes_read - bytes_before


def styled(terminal: Terminal) -> list[str]:
    """Return the cells' colours, because a toggle may change them without changing the text."""
    screen = terminal.screen
    return [screen.buffer[y][x].fg for y in range(screen.lines) for x in range(0, 24)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    archs = ("resnet18", "resnet152")
    terminals = {}
    for arch in archs:
        command = [
            sys.executable,
            str(ROOT / "tl_tui/__main__.py"),
            "--weights",
            "none",
            "--arch",
            arch,
        ]
        terminals[arch] = Terminal(command, columns=80, rows=24)
        terminals[arch].wait_for(r"fc +train")
        terminals[arch].wait_for(r"Press t|BatchNorm statistics")
    found: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for number in range(rounds):
        for name, forth, back in KEYS:
            for arch in archs:
                key = forth if number % 2 == 0 else back
                found.setdefault((arch, name), []).append(cost(terminals[arch], key))
    rows = []
    for name, *_ in KEYS:
        row: dict[str, object] = {"key": name}
        for arch in archs:
            times, sizes = zip(*found[arch, name], strict=True)
            row[arch] = {"ms": statistics.median(times), "bytes": statistics.median(sizes)}
        row["time_ratio"] = row["resnet152"]["ms"] / row["resnet18"]["ms"]  # type: ignore[index]
        row["bytes_ratio"] = row["resnet152"]["bytes"] / row["resnet18"]["bytes"]  # type: ignore[index]
        rows.append(row)
        print(
            f"{name:9}"
            + "".join(f"  {a} {row[a]['ms']:6.1f} ms {row[a]['bytes']:6.0f} B" for a in archs)  # type: ignore[index]
            + f"   ratio {row['time_ratio']:.2f} (time) {row['bytes_ratio']:.2f} (bytes)"
        )
    for terminal in terminals.values():
        terminal.press("q")
        terminal.close()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "keypress.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

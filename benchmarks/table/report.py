"""Write the measured table into `benchmarks/README.md`.

    python -m benchmarks.table.report

Reads `benchmarks/results/table.json` and, for the rows that need a GPU, `table-gpu.json`, and
replaces the text between the README's two markers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.table.expectations import EXPECTATIONS

HERE = Path(__file__).parents[1]
RESULTS = HERE / "results"
README = HERE / "README.md"
BEGIN, END = "<!-- table -->", "<!-- end of the table -->"


def main() -> None:
    """Rewrite the table."""
    measured = [
        json.loads((RESULTS / name).read_text())
        for name in ("table.json", "table-gpu.json")
        if (RESULTS / name).exists()
    ]
    before, _, rest = README.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    README.write_text(f"{before}{BEGIN}\n{table(*measured)}\n{END}{after}")


def table(*measured: dict[str, Any]) -> str:
    """Return the table in Markdown, followed by descriptions of the machines.

    Args:
        measured: The output of `python -m benchmarks` from each machine. A row that was measured on
            several machines is taken from the last.
    """
    lines = [
        "| row | case / against | floor | predicted | measured | to reach |",
        "|---|---|---|---|---|---|",
    ]
    found: dict[str, list[dict[str, Any]]] = {}
    for machine in measured:
        by_row: dict[str, list[dict[str, Any]]] = {}
        for line in machine["rows"]:
            by_row.setdefault(line["row"], []).append(line)
        found |= by_row
    for name, (floor, predicted) in EXPECTATIONS.items():
        nothing = {"case": "", "against": "", "value": None, "note": "not measured", "reach": None}
        for index, line in enumerate(found.get(name) or [nothing]):
            first = (f"`{name}`", floor, predicted) if index == 0 else ("", "", "")
            case = f"{line['case']} / {line['against']}".strip(" /")
            goal = "" if line["reach"] is None else f"{line['reach']:g}"
            lines.append(
                f"| {first[0]} | {case} | {first[1]} | {first[2]} "
                f"| {measured_text(line)} | {goal} |"
            )
    for machine in measured:
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        names = dict.fromkeys(line["row"] for line in machine["rows"])
        rows = ", ".join(f"`{name}`" for name in names)
        lines.append("")
        lines.append(
            f"{machine['device']}; {machine['processor']}, {machine['threads']} threads; "
            f"{versions}: {rows}."
        )
    return "\n".join(lines)


def measured_text(line: dict[str, Any]) -> str:
    """Return the text of the cell for a measurement, or its note if there is none."""
    if line["value"] is None:
        return line["note"]
    mark = {True: "", False: " **above**", None: ""}[line.get("reached")]
    unit = "" if line["unit"] == "×" else f" {line['unit']}"
    spread = "" if line["low"] is None else f" ({line['low']:.3g} to {line['high']:.3g})"
    return f"{line['value']:.3g}{unit}{spread}{mark}"


if __name__ == "__main__":
    main()

"""The table in `benchmarks/README.md`, from what was measured.

    python -m benchmarks.table.report

Reads `benchmarks/results/table.json` and, of the rows that need a GPU, `table-gpu.json`, and
rewrites what stands between the README's two marks.
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
    """The table in Markdown, with where it was measured.

    Args:
        measured: What `python -m benchmarks` wrote, on each machine; of a row that was measured on
            several, the last one's.
    """
    lines = [
        "| row | case / against | floor | predicted | measured | to reach |",
        "|---|---|---|---|---|---|",
    ]
    found: dict[str, list[dict[str, Any]]] = {}
    for machine in measured:
        on_it: dict[str, list[dict[str, Any]]] = {}
        for line in machine["rows"]:
            on_it.setdefault(line["row"], []).append(line)
        found |= on_it
    for name, (floor, predicted) in EXPECTATIONS.items():
        nothing = {"case": "", "against": "", "value": None, "note": "not measured", "reach": None}
        for place, line in enumerate(found.get(name) or [nothing]):
            first = (f"`{name}`", floor, predicted) if place == 0 else ("", "", "")
            case = f"{line['case']} / {line['against']}".strip(" /")
            goal = "" if line["reach"] is None else f"{line['reach']:g}"
            lines.append(
                f"| {first[0]} | {case} | {first[1]} | {first[2]} | {told(line)} | {goal} |"
            )
    for machine in measured:
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        rows = ", ".join(f"`{row}`" for row in dict.fromkeys(one["row"] for one in machine["rows"]))
        lines.append("")
        lines.append(
            f"{machine['device']}; {machine['processor']}, {machine['threads']} threads; "
            f"{versions}: {rows}."
        )
    return "\n".join(lines)


def told(line: dict[str, Any]) -> str:
    """What was measured, in a cell."""
    if line["value"] is None:
        return line["note"]
    mark = {True: "", False: " **above**", None: ""}[line.get("reached")]
    unit = "" if line["unit"] == "×" else f" {line['unit']}"
    spread = "" if line["low"] is None else f" ({line['low']:.3g} to {line['high']:.3g})"
    return f"{line['value']:.3g}{unit}{spread}{mark}"


if __name__ == "__main__":
    main()

"""The table in `benchmarks/README.md`, from what was measured.

    python -m benchmarks.report

Reads `benchmarks/results/table.json` and rewrites what stands between the README's two marks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .expectations import EXPECTATIONS

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "table.json"
README = HERE / "README.md"
BEGIN, END = "<!-- table -->", "<!-- end of the table -->"


def main() -> None:
    """Rewrite the table."""
    measured = json.loads(RESULTS.read_text()) if RESULTS.exists() else None
    before, _, rest = README.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    README.write_text(f"{before}{BEGIN}\n{table(measured)}\n{END}{after}")


def table(measured: dict[str, Any] | None) -> str:
    """The table in Markdown, with where it was measured.

    Args:
        measured: What `python -m benchmarks` wrote; None if nothing was measured yet.
    """
    lines = [
        "| row | case / against | floor | predicted | measured | to reach |",
        "|---|---|---|---|---|---|",
    ]
    found: dict[str, list[dict[str, Any]]] = {}
    for line in measured["rows"] if measured else []:
        found.setdefault(line["row"], []).append(line)
    for name, (floor, predicted) in EXPECTATIONS.items():
        nothing = {"case": "", "against": "", "value": None, "note": "not measured", "reach": None}
        for place, line in enumerate(found.get(name) or [nothing]):
            first = (f"`{name}`", floor, predicted) if place == 0 else ("", "", "")
            case = f"{line['case']} / {line['against']}".strip(" /")
            goal = "" if line["reach"] is None else f"{line['reach']:g}"
            lines.append(
                f"| {first[0]} | {case} | {first[1]} | {first[2]} | {told(line)} | {goal} |"
            )
    if measured:
        versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
        lines.append("")
        lines.append(
            f"Measured on: {measured['device']}; {measured['processor']}, "
            f"{measured['threads']} threads; {versions}; load {measured['load'][0]:.1f} before."
        )
    return "\n".join(lines)


def told(line: dict[str, Any]) -> str:
    """What was measured, in a cell."""
    if line["value"] is None:
        return line["note"]
    mark = {True: "", False: " **above**", None: ""}[line.get("reached")]
    unit = "" if line["unit"] == "×" else f" {line['unit']}"
    return f"{line['value']:.3g}{unit} ({line['low']:.3g} to {line['high']:.3g}){mark}"


if __name__ == "__main__":
    main()

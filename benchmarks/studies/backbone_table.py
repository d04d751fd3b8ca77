"""The table of `backbone_worth` in Markdown."""

from __future__ import annotations

import statistics

from benchmarks.studies.backbone_sets import PictureSet


def markdown(rows: dict[str, dict[str, list[float]]], sets: list[PictureSet]) -> str:
    """Return the table in Markdown: mean and standard deviation over the seeds, in percent."""
    names = [found.name for found in sets]
    most = max(len(v) for cells in rows.values() for v in cells.values())
    lines = [
        f"| balanced accuracy, % | {' | '.join(names)} | mean of the real sets |",
        "|---|" + "---|" * (len(names) + 1),
    ]
    for label, cells in rows.items():
        values = [cells[key] for key in cells]
        shown = [f"{100 * statistics.mean(v):.1f} ± {100 * spread(v):.1f}" for v in values]
        if len(values[0]) < most:
            label += f" ({len(values[0])} seeds)"
        real = [v for v, found in zip(values, sets, strict=True) if found.real]
        means = [statistics.mean(seed) for seed in zip(*real, strict=True)]
        last = f"{100 * statistics.mean(means):.1f} ± {100 * spread(means):.1f}" if real else ""
        lines.append(f"| {label} | {' | '.join(shown)} | {last} |")
    chance = [100 / len(found.classes) for found in sets]
    real_chance = [c for c, found in zip(chance, sets, strict=True) if found.real]
    mean = f"{statistics.mean(real_chance):.1f}" if real_chance else ""
    lines.append(f"| chance | {' | '.join(f'{c:.1f}' for c in chance)} | {mean} |")
    return "\n".join(lines)


def spread(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0

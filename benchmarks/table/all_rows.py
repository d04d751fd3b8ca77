"""All rows of the table in order; each module holds related rows."""

from __future__ import annotations

from benchmarks.table import (
    best_settings,
    epochs,
    growth,
    key_latency,
    screen_output,
    startup,
    train_steps,
)

ROWS = [
    *train_steps.ROWS,
    *best_settings.ROWS,
    *epochs.ROWS,
    *startup.ROWS,
    *key_latency.ROWS,
    *screen_output.ROWS,
    *growth.ROWS,
]

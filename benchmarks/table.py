"""The rows of the table, in its order; a module for each family."""

from __future__ import annotations

from . import epochs, growth, keys, screen, settings, startup, train_steps

ROWS = [
    *train_steps.ROWS,
    *settings.ROWS,
    *epochs.ROWS,
    *startup.ROWS,
    *keys.ROWS,
    *screen.ROWS,
    *growth.ROWS,
]

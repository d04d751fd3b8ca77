"""How many examples the property tests draw."""

from __future__ import annotations

import os

VARIABLE = "TL_TUI_TESTS"
"""Set to `thorough` by `--thorough`, before the modules of the tests are imported."""


def examples(few: int, many: int) -> int:
    """Return the number of examples: `few`, or `many` with `--thorough`."""
    return many if os.environ.get(VARIABLE) == "thorough" else few

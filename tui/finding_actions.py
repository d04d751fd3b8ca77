"""What comes of training: results, images, the recipe, range test, folds, and layers put back."""

from __future__ import annotations

from tui.workbench import Workbench


class FindingActions(Workbench):
    """Actions on what was found out; see `Workbench` for what they may use."""

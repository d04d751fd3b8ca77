"""The widget with the names, states and numbers of the layers, to the right of the tower."""

from __future__ import annotations

from tui.drawing.line_widget import LineWidget


class LayerTable(LineWidget):
    """The right part of the stack."""

    DEFAULT_CSS = "LayerTable { width: 1fr; height: 100%; }"

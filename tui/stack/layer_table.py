"""The stack's names, states and numbers, beside the tower."""

from __future__ import annotations

from tui.drawing.span_lines import SpanLines


class LayerTable(SpanLines):
    """The right part of the stack."""

    DEFAULT_CSS = "LayerTable { width: 1fr; height: 100%; }"

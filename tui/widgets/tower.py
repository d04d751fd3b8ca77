"""The tower of bricks: the cursor's marker, the choice, and the gradient running through.

It is a widget of its own because Textual sends a changed row again from its widget's left edge:
beside names and numbers, three moving dots would cost three times the bytes.
"""

from __future__ import annotations

from .span_lines import SpanLines


class Tower(SpanLines):
    """The narrow left part of the stack."""

    DEFAULT_CSS = "Tower { height: 100%; }"

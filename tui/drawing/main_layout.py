"""Where everything on the main screen stands, at any size: a pure function of the size."""

from __future__ import annotations

from typing import NamedTuple

from textual.geometry import NULL_OFFSET, NULL_SPACING, Region, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.widget import Widget

LEAST_WIDTH, LEAST_HEIGHT = 40, 10
"""Cells below which there is only a sentence."""
ROOMY_WIDTH, ROOMY_HEIGHT = 100, 34
"""Cells from which panels have frames and the inspector stands at the right."""
THREE_COLUMNS = 180
"""Cells from which the curves are a column of their own."""
PRICE_LINES = 9
"""Lines of the price's panel, its frame included."""
PRICED_HEIGHT = 22
"""Lines beside the stack from which on inspector and price share them."""


class LayoutRequest(NamedTuple):
    """What there is to place."""

    stack_lines: int = 16
    """Lines that the stack takes if there is room for all of it, its heading included."""
    warning: bool = False
    """A sentence about the device stands there all the time."""


_DEFAULT = LayoutRequest()


def main_layout(width: int, height: int, request: LayoutRequest = _DEFAULT) -> dict[str, Region]:
    """The region of every widget that has a place at this size, by its id.

    As the terminal shrinks, things are given up in this order: frames, accuracy, loss, inspector.
    The stack, the caption and the keys stay.
    """
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return {"too-small": Region(0, 0, width, height)}
    found = {"title": Region(0, 0, width, 1)}
    top = 1
    if request.warning:
        found["warning"] = Region(0, top, width, 1)
        top += 1
    found["strategy"] = Region(0, top, width, 1)
    top += 1
    found["footer"] = Region(0, height - 1, width, 1)
    roomy = width >= ROOMY_WIDTH and height >= ROOMY_HEIGHT
    place = _framed if roomy else _plain
    found |= place(width, top, height - 1, request)
    found["loading"] = found["stack"]
    return found


def _plain(width: int, top: int, bottom: int, request: LayoutRequest) -> dict[str, Region]:
    """Without frames: the stack, the caption, and below it what there is room for."""
    room = bottom - top
    caption = 2 if room >= 9 else 1
    spare = room - caption - min(request.stack_lines, 14)
    # At 80x24 four lines and their heading remain below the caption; a warning takes one.
    below = min(spare, 5 + max(0, room - 26) // 3) if room - caption >= 17 and spare >= 4 else 0
    found = {"stack": Region(0, top, width, room - caption - below)}
    found["caption"] = Region(1, bottom - below - caption, width - 2, caption)
    if below:
        y = bottom - below
        if width < 72:
            found["inspector"] = Region(0, y, width, below)
        elif width < 120:
            left = 39 * width // 80
            found["inspector"] = Region(0, y, left, below)
            found["loss"] = Region(left, y, width - left, below)
        else:
            third = width // 3
            found["inspector"] = Region(0, y, third, below)
            found["loss"] = Region(third, y, third, below)
            found["accuracy"] = Region(2 * third, y, width - 2 * third, below)
    return found


def _framed(width: int, top: int, bottom: int, request: LayoutRequest) -> dict[str, Region]:
    """Panels with frames, a legend and a line about the run."""
    found = {
        "run": Region(1, bottom - 1, width - 2, 1),
        "legend": Region(1, bottom - 2, width - 2, 1),
    }
    bottom -= 2
    three = width >= THREE_COLUMNS
    if three:
        stack_width, inspector_width = 86, 48
        upper = bottom - 2
        height = upper - top
        left = stack_width + inspector_width + 1
        # Below the stack, if it leaves room there; else both curves share the right.
        below = height - max(request.stack_lines + 6, 30)
        if below >= 12:
            panels = {
                "loss": Region(left + 1, top, width - left - 1, height),
                "accuracy": Region(0, upper - below, left, below),
            }
        else:
            below, half = 0, height // 2
            panels = {
                "loss": Region(left + 1, top, width - left - 1, half),
                "accuracy": Region(left + 1, top + half, width - left - 1, height - half),
            }
        lower = upper - below
    else:
        stack_width = width * 82 // 120
        inspector_width = width - stack_width - 1
        spare = bottom - top - 2 - (request.stack_lines + 6)
        curve_height = max(8, min(20, spare))
        lower = upper = bottom - curve_height - 2
        half = width // 2
        panels = {
            "loss": Region(0, upper + 2, half, curve_height),
            "accuracy": Region(half + 1, upper + 2, width - half - 1, curve_height),
        }
    panels["stack"] = Region(0, top, stack_width, lower - top)
    tall = lower - top
    price = PRICE_LINES if tall >= PRICED_HEIGHT else 0
    panels["inspector"] = Region(stack_width + 1, top, inspector_width, tall - price)
    if price:
        panels["price"] = Region(stack_width + 1, lower - price, inspector_width, price)
    found["caption"] = Region(1, upper, width - 2, 2)
    for name, panel in panels.items():
        found[f"{name}-frame"] = panel
        found[name] = panel.shrink((1, 1, 1, 1)) if name == "stack" else panel.shrink((1, 2, 1, 2))
    return found


class MainLayout(Layout):
    """Puts the children of a widget where `main_layout` says; the others are not shown."""

    name = "places"

    def __init__(self) -> None:
        self.request = LayoutRequest()

    def arrange(
        self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True
    ) -> ArrangeResult:
        regions = main_layout(size.width, size.height, self.request)
        return [
            WidgetPlacement(regions[child.id], NULL_OFFSET, NULL_SPACING, child, order)
            for order, child in enumerate(children)
            if child.id in regions
        ]

"""The layout of the main screen, as a pure function of its size."""

from __future__ import annotations

from typing import NamedTuple

from textual.geometry import NULL_OFFSET, NULL_SPACING, Region, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.widget import Widget

LEAST_WIDTH, LEAST_HEIGHT = 40, 10
"""The smallest width and height; below them only a sentence is shown."""
ROOMY_WIDTH, ROOMY_HEIGHT = 100, 34
"""The size from which panels have frames and the inspector is on the right."""
THREE_COLUMNS = 180
"""The width from which the curves have a separate column."""
STEP_COST_LINES = 9
"""The height of the step cost panel, with its frame."""
STEP_COST_MIN_HEIGHT = 22
"""The height of the stack from which the inspector and the step cost panel share it."""


class LayoutRequest(NamedTuple):
    """What the layout has to make room for."""

    stack_lines: int = 16
    """The height of the whole stack, with its heading."""
    warning: bool = False
    """Whether a warning about the device is shown all the time."""


_DEFAULT = LayoutRequest()


def main_layout(width: int, height: int, request: LayoutRequest = _DEFAULT) -> dict[str, Region]:
    """Return the region of each visible widget by its id.

    As the terminal gets smaller, it omits in this order: frames, accuracy, loss, inspector. The
    stack, the caption and the keys always stay.
    """
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return {"too-small": Region(0, 0, width, height)}
    regions = {"title": Region(0, 0, width, 1)}
    top = 1
    if request.warning:
        regions["warning"] = Region(0, top, width, 1)
        top += 1
    regions["strategy"] = Region(0, top, width, 1)
    top += 1
    regions["footer"] = Region(0, height - 1, width, 1)
    roomy = width >= ROOMY_WIDTH and height >= ROOMY_HEIGHT
    arrange = _framed if roomy else _plain
    regions |= arrange(width, top, height - 1, request)
    regions["loading"] = regions["stack"]
    return regions


def _plain(width: int, top: int, bottom: int, request: LayoutRequest) -> dict[str, Region]:
    """Lay out without frames: the stack, the caption, and the panels that fit below it."""
    room = bottom - top
    caption = 2 if room >= 9 else 1
    spare = room - caption - min(request.stack_lines, 14)
    # At 80x24 a heading and four lines remain below the caption, or three with a warning.
    below = min(spare, 5 + max(0, room - 26) // 3) if room - caption >= 17 and spare >= 4 else 0
    regions = {"stack": Region(0, top, width, room - caption - below)}
    regions["caption"] = Region(1, bottom - below - caption, width - 2, caption)
    if below:
        y = bottom - below
        if width < 72:
            regions["inspector"] = Region(0, y, width, below)
        elif width < 120:
            left = 39 * width // 80
            regions["inspector"] = Region(0, y, left, below)
            regions["loss"] = Region(left, y, width - left, below)
        else:
            third = width // 3
            regions["inspector"] = Region(0, y, third, below)
            regions["loss"] = Region(third, y, third, below)
            regions["accuracy"] = Region(2 * third, y, width - 2 * third, below)
    return regions


def _framed(width: int, top: int, bottom: int, request: LayoutRequest) -> dict[str, Region]:
    """Lay out framed panels, a legend and a line about the run."""
    regions = {
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
        # The accuracy is below the stack if there is room; else both curves share the right column.
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
    cost = STEP_COST_LINES if tall >= STEP_COST_MIN_HEIGHT else 0
    panels["inspector"] = Region(stack_width + 1, top, inspector_width, tall - cost)
    if cost:
        panels["step-cost"] = Region(stack_width + 1, lower - cost, inspector_width, cost)
    regions["caption"] = Region(1, upper, width - 2, 2)
    for name, panel in panels.items():
        regions[f"{name}-frame"] = panel
        sides = 1 if name == "stack" else 2
        regions[name] = panel.shrink((1, sides, 1, sides))
    return regions


class MainLayout(Layout):
    """Arranges the children of a widget as `main_layout` says, by their ids; others are hidden."""

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

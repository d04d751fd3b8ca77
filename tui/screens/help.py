"""The keys, and the lesson in a page."""

from __future__ import annotations

from tui.drawing.lines import Line, line, wrapped
from tui.drawing.theme import Glyphs, Palette
from tui.keys import KEYS
from tui.screens.text_page import TextPage

LESSON: tuple[tuple[str, str], ...] = (
    (
        "Why freeze anything",
        "A network that has learnt a million photographs knows what an edge, a texture, a wheel "
        "is. That knowledge sits in its layers, the general in the early ones, the particular in "
        "the late ones. To teach it a new task with a few hundred pictures you keep what is "
        "general and train the rest. A layer whose weights are kept is frozen: in PyTorch, "
        "requires_grad is False for its parameters.",
    ),
    (
        "Feature extraction (1)",
        "Everything below the new head is frozen. Only the head learns to read what the network "
        "already sees. Fast, and hard to spoil: right for little data that looks like ImageNet.",
    ),
    (
        "Fine-tuning (2, 3, 4)",
        "The last stages, or all of them, train too, at a much smaller learning rate than the "
        "head, so that what was learnt before is adapted and not overwritten. For more data, or "
        "pictures of another kind: X-rays, satellites, drawings. Try it: 1, hold t, 0, 4, hold "
        "t, and compare the two curves. The lower training loss is not always the better "
        "accuracy.",
    ),
    (
        "Where the gradient goes",
        "Backward starts at the loss, on top, and runs down. Solid dots: the layer received a "
        "gradient for its parameters and was updated. Hollow dots: the layer is frozen, and the "
        "gradient went through it to a trainable layer further down; its own weights got "
        "nothing. A closed brick: not reached. So freezing a layer does not stop the gradient by "
        "itself: it stops below the lowest trainable layer, which is where the wall stands. "
        "Dashed, the wall is a prediction; solid, it was measured in a step.",
    ),
    (
        "What the dots count",
        "Three dots are a gradient norm of 0.1 and more, two 0.001 and more, one less; a small "
        "point is a gradient that has vanished, exclamation marks are values that are not "
        "finite. Everything you see was measured in a real step. The replay shows it in the "
        "order and with the timing in which the gradients arrived, only slower.",
    ),
    (
        "BatchNorm",
        "A BatchNorm keeps running statistics besides its parameters, and in train mode they "
        "move even when its parameters are frozen. Frozen should mean frozen, so a frozen "
        "layer's BatchNorm runs in eval mode. b lets its statistics alone follow the new data, "
        "and a proves on a copy that nothing else that is frozen changes.",
    ),
    (
        "By hand",
        "The choice is yours for every layer, and for the parts inside one (right arrow). space "
        "freezes or thaws, f makes the row the boundary, u takes it back. Nothing happens to the "
        "model until the next step, so looking around costs nothing.",
    ),
)


class HelpScreen(TextPage):
    def __init__(self, appearance: tuple[Palette, Glyphs]) -> None:
        super().__init__("help", appearance)

    def content(self, width: int) -> list[Line]:
        lines: list[Line] = [line(("Keys", "strong"))]
        for key in KEYS:
            first, *rest = wrapped(key.description, width - 14, 4)
            lines.append(line((f"{key.shown:<12}", "strong"), f"  {first}"))
            lines += [line(" " * 14 + text) for text in rest]
        for heading, text in LESSON:
            lines += [(), line((heading, "strong"))]
            lines += [line(part) for part in wrapped(text, width, 40)]
        return lines

"""The help screen: the keys, how to read a brick, and a short lesson on transfer learning."""

from __future__ import annotations

from tui.drawing.lines import Line, Piece, line, wrapped
from tui.drawing.theme import Glyphs, Palette
from tui.keys import KEYS
from tui.screens.text_page import TextPage

KEY_COLUMN = 14
"""The width of the column of keys, in cells."""
BRICK_COLUMN = 11
"""The width of the column of bricks, in cells."""

LESSON: tuple[tuple[str, str], ...] = (
    (
        "Why freeze layers?",
        "A pretrained network already recognizes edges, textures and shapes. Its early layers "
        "hold general features; its late layers hold features that are specific to the task it "
        "was trained on. To learn a new task from a few hundred images, keep the general layers "
        "and train the rest. A layer that is kept unchanged is frozen: in PyTorch, "
        "requires_grad is False for its parameters.",
    ),
    (
        "Feature extraction (key 1)",
        "Every layer is frozen except the new head, which learns to use the features that the "
        "network already computes. Training is fast and rarely overfits. Choose it if you have "
        "few images and they look like ImageNet.",
    ),
    (
        "Fine-tuning (keys 2, 3 and 4)",
        "The last stage, the last two stages or all layers are trained together with the head. "
        "Pretrained layers get a smaller learning rate than the head, so that they adapt without "
        "losing what they learned. Choose it if you have more images, or images unlike "
        "ImageNet: X-rays, satellite images, drawings.",
    ),
    (
        "Try it",
        "Press 1 and hold t for ten steps. Press 0 to start over, press 4, and hold t again. "
        "The plot shows both curves, from the same start and on the same batches. A lower "
        "training loss does not always mean a higher accuracy.",
    ),
    (
        "Where the gradient goes",
        "The backward pass starts at the loss, at the top of the stack, and runs down to the "
        "lowest trainable layer. Freezing a layer does not stop the gradient: if a layer below "
        "it is trainable, the gradient passes through the frozen layer, whose weights do not "
        "change. The wall marks where the gradient stops. A dashed wall is predicted; a solid "
        "wall was measured.",
    ),
    (
        "What the dots mean",
        "Three dots mean a gradient norm of at least 0.1, two dots at least 0.001, one dot "
        "less. A small point means that the gradient has vanished; exclamation marks mean NaN "
        "or infinite values. Everything is measured in a real training step. The animation shows "
        "the gradients in the order in which they arrived, slowed down.",
    ),
    (
        "BatchNorm",
        "A BatchNorm layer keeps running statistics in addition to its parameters. In train mode "
        "they change even if the parameters are frozen, so the BatchNorms of a frozen layer run "
        "in eval mode. Press b to let a row's statistics follow the new images, and a to check "
        "that every other frozen tensor stays unchanged.",
    ),
    (
        "Choose layers yourself",
        "Move with the arrow keys. space freezes or trains a row, or one part of it after the "
        "right arrow has opened the row. f freezes everything below the row, and u undoes the "
        "last change. The model changes only at the next step, so exploring costs nothing.",
    ),
)


def brick_legend(glyphs: Glyphs, width: int) -> list[Line]:
    """Return one entry per kind of brick, wrapped to `width` cells."""
    solid, shade = (glyphs.solid * 2, "trainable"), (glyphs.shade * 2, "frozen")
    updated, passed = glyphs.updated, glyphs.passed
    bricks: tuple[tuple[tuple[Piece, ...], str], ...] = (
        (
            (solid, (updated * 3, "gradient"), solid),
            "trainable: it received a gradient and was updated",
        ),
        (
            (shade, (f"{passed} {passed}", "gradient"), shade),
            "frozen: the gradient passed through it to a trainable layer below",
        ),
        (((glyphs.shade * 7, "frozen"),), "frozen: the gradient did not reach it"),
        ((solid, ("   ", "text"), solid), "trainable from the next step on"),
        (
            ((glyphs.cached * 7, "frozen"),),
            "frozen: not computed, because its output is cached for every image",
        ),
    )
    lines: list[Line] = []
    for brick, text in bricks:
        first, *rest = wrapped(text, width - BRICK_COLUMN, 4)
        lines.append(line("  ", *brick, f"  {first}"))
        lines += [line(" " * BRICK_COLUMN + part) for part in rest]
    return lines


class HelpScreen(TextPage):
    """The page that `?` opens."""

    def __init__(self, appearance: tuple[Palette, Glyphs]) -> None:
        super().__init__("help", appearance)

    def content(self, width: int) -> list[Line]:
        lines: list[Line] = [line(("Keys", "strong"))]
        for key in KEYS:
            first, *rest = wrapped(key.description, width - KEY_COLUMN, 4)
            lines.append(line((f"{key.shown:<{KEY_COLUMN - 2}}", "strong"), f"  {first}"))
            lines += [line(" " * KEY_COLUMN + text) for text in rest]
        lines += [(), line(("Bricks", "strong")), *brick_legend(self.appearance[1], width)]
        for heading, text in LESSON:
            lines += [(), line((heading, "strong"))]
            lines += [line(part) for part in wrapped(text, width, 40)]
        return lines

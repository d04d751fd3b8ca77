"""The message about a loss that shows that training has diverged."""

from __future__ import annotations

from tl_tui.common.metrics import guessing_loss
from tui.text.format import loss_text


def diverged_sentence(step: int, loss: float, classes: int) -> str:
    """Return the message for a loss that is far above that of guessing.

    Args:
        step: The step that has this loss.
        loss: The mean loss of its batch.
        classes: The number of classes.
    """
    if step == 1:  # it is computed before the first update
        return (
            f"The loss of step 1 is {loss_text(loss)}, and guessing has "
            f"{guessing_loss(classes):.3f}: the weights that training began from are the cause. "
            "Start from other weights."
        )
    return (
        f"Training has diverged: the loss of step {step:,} is {loss_text(loss)}, and guessing has "
        f"{guessing_loss(classes):.3f}. Start over with lower learning rates."
    )

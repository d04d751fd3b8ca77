"""What the keys space (toggle), f (freeze below) and b (BatchNorm mode) change at the cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tl_tui.protocol.layers import NormMode
from tui.state.cursor import Target, target_name, target_owners
from tui.state.mask_undo import Mask
from tui.state.run_state import RunState


@dataclass(frozen=True)
class MaskEdit:
    """A proposed mask, and how it differs from the mask that the user has set."""

    mask: Mask
    action: Literal["thaw", "freeze", "freeze below"]
    layer: str
    """The name of the layer or stage that the action applies to."""

    @property
    def description(self) -> str:
        """Such as `thaw layer3.0`."""
        return f"{self.action} {self.layer}"


def after_toggle(state: RunState, target: Target) -> MaskEdit:
    """Return what space does on a target.

    A target that is trainable as a whole is frozen. One that is frozen, or trainable only in part,
    becomes trainable as a whole.
    """
    assert state.session is not None
    owners = frozenset(target_owners(state, target))
    name = target_name(state.session.stack, target)
    if owners <= state.wanted:
        return MaskEdit(state.wanted - owners, "freeze", name)
    return MaskEdit(state.wanted | owners, "thaw", name)


def after_freeze_below(state: RunState, target: Target) -> MaskEdit:
    """Return the mask that freezes the rows below a row, and trains that row and all above it."""
    assert state.session is not None
    stack = state.session.stack
    lowest = stack.owners[target_owners(state, target).start].row
    first = stack.rows[lowest].first_owner
    mask = frozenset(range(first, len(stack.owners)))
    return MaskEdit(mask, "freeze below", stack.rows[lowest].name)


def next_norm_mode(state: RunState, target: Target) -> tuple[list[int], NormMode, str]:
    """Return what b does on a target.

    A mode that was set by hand returns to `auto`. A frozen BatchNorm switches to updating its
    running statistics only; a trainable one switches to keeping them fixed.

    Returns:
        The owners of the BatchNorms to switch, their new mode, and a sentence that explains it.
    """
    assert state.session is not None
    name = target_name(state.session.stack, target)
    norms = norm_owners(state, target)
    if not norms:
        return [], "auto", f"{name} has no BatchNorm that keeps statistics."
    by_hand = [owner for owner in norms if state.norm_modes.get(owner, "auto") != "auto"]
    if by_hand:
        return by_hand, "auto", f"BatchNorm of {name}: as the mask says again."
    frozen = [owner for owner in norms if owner not in state.wanted]
    if frozen:
        sentence = (
            f"BatchNorm of {name}: statistics only. Its weights stay frozen, its running "
            "statistics follow the new images."
        )
        return frozen, "train", sentence
    return norms, "eval", f"BatchNorm of {name}: eval. It trains, its running statistics stay."


def norm_owners(state: RunState, target: Target) -> list[int]:
    """Return the owner indices of a target's BatchNorms that have running statistics."""
    assert state.session is not None
    owners = state.session.stack.owners
    return [owner for owner in target_owners(state, target) if owners[owner].norm]

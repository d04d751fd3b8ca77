"""What a key makes of the mask: space, f and b, as functions of the state and the cursor."""

from __future__ import annotations

from tl_tui.protocol.layers import NormMode
from tui.state.cursor import Target, target_name, target_owners
from tui.state.mask_undo import Mask
from tui.state.run_state import RunState


def after_toggle(state: RunState, target: Target) -> tuple[Mask, str]:
    """The mask after space on a target, and what that is in words.

    What trains altogether is frozen; what is frozen, or trains in part, trains altogether.
    """
    assert state.session is not None
    owners = frozenset(target_owners(state, target))
    name = target_name(state.session.stack, target)
    if owners <= state.wanted:
        return state.wanted - owners, f"freeze {name}"
    return state.wanted | owners, f"thaw {name}"


def after_freeze_below(state: RunState, target: Target) -> tuple[Mask, str]:
    """The mask with a target as the boundary: rows below it frozen, it and all above trainable."""
    assert state.session is not None
    stack = state.session.stack
    lowest = stack.owners[target_owners(state, target).start].row
    first = stack.rows[lowest].first_owner
    return frozenset(range(first, len(stack.owners))), f"freeze below {stack.rows[lowest].name}"


def next_norm_mode(state: RunState, target: Target) -> tuple[list[int], NormMode, str]:
    """What b does: which BatchNorms to switch, to which mode, and what that means in words.

    A mode set by hand goes back to what the mask says; a frozen BatchNorm may let its statistics
    alone follow the data; a trainable one may keep them.
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
    """The BatchNorms of a target that keep running statistics."""
    assert state.session is not None
    owners = state.session.stack.owners
    return [owner for owner in target_owners(state, target) if owners[owner].norm]

"""The defaults, one table: what is used where the user asked for nothing else.

Chosen by measurement on the demo (README, "Defaults"): a step takes under half a second on two
CPU cores, and thirty steps visibly learn.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Defaults:
    """How to train from one kind of start on one kind of device."""

    strategy: str
    lr_head: float
    """Learning rate of the new head, and of every layer if nothing was pretrained."""
    lr_pretrained: float
    momentum: float
    weight_decay: float
    batch_size: int
    image_size: int | None
    """Side in pixels; None is the size that belongs to the weights."""
    lr_adamw: float = 0.001
    """`lr_head` for AdamW, whose steps do not grow with the gradient; in the same proportion."""


_TABLE = {
    # (pretrained, on an accelerator)
    (True, True): Defaults("feature-extraction", 0.01, 0.001, 0.9, 1e-4, 32, None),
    (True, False): Defaults("feature-extraction", 0.01, 0.001, 0.9, 1e-4, 16, 128),
    (False, True): Defaults("full", 0.003, 0.003, 0.9, 1e-4, 32, 128),
    (False, False): Defaults("full", 0.003, 0.003, 0.9, 1e-4, 32, 64),
}


def defaults(*, pretrained: bool, accelerator: bool) -> Defaults:
    """The row of the table for a start and a device."""
    return _TABLE[pretrained, accelerator]


def markdown_table() -> str:
    """The table as the README shows it."""
    lines = [
        "| start, device | strategy | optimizer | rate: head, rest | momentum | weight decay "
        "| batch | image |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (pretrained, accelerator), row in _TABLE.items():
        start = "pretrained" if pretrained else "random"
        size = f"{row.image_size} px" if row.image_size else "the weights' own"
        lines.append(
            f"| {start}, {'GPU' if accelerator else 'CPU'} | {row.strategy} | SGD "
            f"| {row.lr_head:g}, {row.lr_pretrained:g} | {row.momentum:g} | {row.weight_decay:g} "
            f"| {row.batch_size} | {size} |"
        )
    lines.append("")
    lines.append(
        f"With `--optimizer adamw` the head's rate is {Defaults.lr_adamw:g} in every case."
    )
    return "\n".join(lines)

"""The table of defaults for options that depend on the weights and the device.

They were chosen by measurement on the demo (README, "Defaults"): a step takes less than half a
second on two CPU cores, and thirty steps visibly learn.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Defaults:
    """Defaults for one kind of weights and one kind of device."""

    strategy: str
    lr_head: float
    """Learning rate of the new head."""
    lr_pretrained: float
    momentum: float
    weight_decay: float
    batch_size: int
    image_size: int | None
    """Side length in pixels; None is the size that belongs to the weights."""
    lr_adamw: float = 0.001
    """Learning rate of the new head with AdamW; `lr_pretrained` keeps its ratio to it."""


_TABLE = {
    # (pretrained, on an accelerator)
    (True, True): Defaults("feature-extraction", 0.01, 0.001, 0.9, 1e-4, 32, None),
    (True, False): Defaults("feature-extraction", 0.01, 0.001, 0.9, 1e-4, 16, 128),
    (False, True): Defaults("full", 0.003, 0.003, 0.9, 1e-4, 32, 128),
    (False, False): Defaults("full", 0.003, 0.003, 0.9, 1e-4, 32, 64),
}


def defaults(*, pretrained: bool, accelerator: bool) -> Defaults:
    """Return the defaults for pretrained or random weights on an accelerator or the CPU."""
    return _TABLE[pretrained, accelerator]


def markdown_table() -> str:
    """Return the table as the README shows it."""
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

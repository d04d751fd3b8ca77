"""The sentence about values beyond the range that images are scaled by."""

from __future__ import annotations

from tl_tui.protocol.dataset import ValuesClipped


def clipped_sentence(event: ValuesClipped) -> str:
    """Return how many values were clipped, and the image with the largest share of them."""
    plural = event.of_images != 1
    return (
        f"{event.images:,} of {event.of_images:,} image{'s' if plural else ''} with more than 8 "
        f"bits per pixel {'have' if plural else 'has'} values beyond the range "
        f"{_number(event.low)} to {_number(event.high)}, where they were clipped: "
        f"{event.values:,} of {event.of_values:,} values, most of them in {event.example} "
        f"({_number(event.lowest)} to {_number(event.highest)})."
    )


def _number(value: float) -> str:
    return f"{int(value):,}" if value.is_integer() else f"{value:.4g}"

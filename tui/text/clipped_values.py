"""The sentences about values beyond the range that images are scaled by."""

from __future__ import annotations

from tl_tui.protocol.dataset import ValuesClipped


def clipped_sentence(event: ValuesClipped) -> str:
    """Return which images have values that were clipped, no range, or NaN."""
    sentences = []
    if event.images:
        one = event.of_images == 1
        sentences.append(
            f"{event.images:,} of {event.of_images:,} image{'' if one else 's'} with more than 8 "
            f"bits per pixel {'has' if event.images == 1 else 'have'} values beyond the range "
            f"{_number(event.low)} to {_number(event.high)}, which were clipped: "
            f"{event.values:,} of {event.of_values:,} values, the largest share in {event.example} "
            f"({_number(event.lowest)} to {_number(event.highest)})."
        )
    if event.without_range:
        one = event.without_range == 1
        sentences.append(
            f"The run has no range for {event.without_range:,} image{'' if one else 's'} with more "
            f"than 8 bits per pixel, such as {event.example_without_range}: 16 bits were cut to "
            "the upper 8, and 32 bits were scaled image by image."
        )
    if event.not_finite:
        one = event.not_finite == 1
        sentences.append(
            f"{event.not_finite:,} image{' has' if one else 's have'} values that are NaN or "
            f"infinite, such as {event.example_not_finite}: NaN became black."
        )
    return " ".join(sentences)


def _number(value: float) -> str:
    return f"{int(value):,}" if value.is_integer() else f"{value:.4g}"

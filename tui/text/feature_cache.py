"""The feature cache in words: how full it is and what it saved, or why it is not used."""

from __future__ import annotations

from tl_tui.protocol.training import FeatureCacheReported
from tui.text.runs import size_words


def cache_words(told: FeatureCacheReported | None) -> tuple[str, ...]:
    """What the line of the images says of the cache, longest form first."""
    if told is None:
        return ()
    if not told.cut:
        return (f"not cached: {told.why}", "not cached") if told.why else ()
    share = f"cached at {told.cut}: {told.images:,}/{told.total:,}"
    hits, size = f"{told.hits:,} hits", size_words(told.memory + told.file)
    if told.file:
        size += f", {100 * told.file / (told.memory + told.file):.0f}% on disk"
    return (
        f"{share}, {hits}, {size}",
        *((f"{share}, {size}",) if told.file else ()),
        f"{share}, {hits}",
        f"cached {told.images:,}/{told.total:,}, {hits}",
        f"cached {told.images:,}/{told.total:,}",
    )

"""The feature cache in words: how full it is and what it saved, or why it is not used."""

from __future__ import annotations

from tl_tui.protocol.training import FeatureCacheReported
from tui.text.runs import size_words


def cache_words(told: FeatureCacheReported | None) -> tuple[str, ...]:
    """What the line of the images says of the cache, longest form first."""
    if told is None:
        return ()
    if not told.cut:
        return (f"not cached: {told.reason}", "not cached") if told.reason else ()
    share = f"cached at {told.cut}: {told.images:,}/{told.total:,}"
    hits, size = f"{told.hits:,} hits", size_words(told.memory_bytes + told.file_bytes)
    if told.file_bytes:
        size += f", {100 * told.file_bytes / (told.memory_bytes + told.file_bytes):.0f}% on disk"
    return (
        f"{share}, {hits}, {size}",
        *((f"{share}, {size}",) if told.file_bytes else ()),
        f"{share}, {hits}",
        f"cached {told.images:,}/{told.total:,}, {hits}",
        f"cached {told.images:,}/{told.total:,}",
    )

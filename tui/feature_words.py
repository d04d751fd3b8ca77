"""The feature cache in words: how full it is and what it saved, or why it is not used."""

from __future__ import annotations

from engine.protocol import FeaturesCached
from tui.run_words import size_words


def cache_words(told: FeaturesCached | None) -> tuple[str, ...]:
    """What the line of the images says of the cache, longest form first."""
    if told is None:
        return ()
    if not told.cut:
        return (f"not cached: {told.why}", "not cached") if told.why else ()
    share = f"{told.images:,}/{told.total:,}"
    size = size_words(told.memory + told.file)
    where = " in a file" if told.file and not told.memory else ", partly in a file"
    place = where if told.file else ""
    return (
        f"cached at {told.cut}: {share} images, {size}{place}, {told.hits:,} hits",
        f"cached at {told.cut}: {share}, {told.hits:,} hits",
        f"cached {share}, {told.hits:,} hits",
        f"cached {share}",
    )

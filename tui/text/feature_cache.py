"""The status of the feature cache: how full it is and how often it was used."""

from __future__ import annotations

from tl_tui.protocol.training import FeatureCacheReported
from tui.text.format import format_bytes


def feature_cache_texts(report: FeatureCacheReported | None) -> tuple[str, ...]:
    """Return the status in several lengths, longest first; empty if there is nothing to say."""
    if report is None:
        return ()
    if not report.cut:
        return (f"not cached: {report.reason}", "not cached") if report.reason else ()
    share = f"cached at {report.cut}: {report.images:,}/{report.total:,}"
    hits, size = f"{report.hits:,} hits", format_bytes(report.memory_bytes + report.file_bytes)
    if report.file_bytes:
        size += (
            f", {100 * report.file_bytes / (report.memory_bytes + report.file_bytes):.0f}% on disk"
        )
    return (
        f"{share}, {hits}, {size}",
        *((f"{share}, {size}",) if report.file_bytes else ()),
        f"{share}, {hits}",
        f"cached {report.images:,}/{report.total:,}, {hits}",
        f"cached {report.images:,}/{report.total:,}",
    )

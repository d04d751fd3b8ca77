"""The status of the feature cache: how full it is and how often it was used."""

from __future__ import annotations

from tl_tui.protocol.training import FeatureCacheReported
from tui.state.moment import Moment
from tui.text.format import format_bytes
from tui.text.moments import age_text


def feature_cache_texts(report: FeatureCacheReported | None, now: Moment) -> tuple[str, ...]:
    """Return the status in several lengths, longest first; empty if there is nothing to say.

    Args:
        report: The last report.
        now: The last step; the step of an earlier report is named.
    """
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
    forms = (
        f"{share}, {hits}, {size}",
        *((f"{share}, {size}",) if report.file_bytes else ()),
        f"{share}, {hits}",
        f"cached {report.images:,}/{report.total:,}, {hits}",
        f"cached {report.images:,}/{report.total:,}",
    )
    when = age_text(report, now)
    return tuple(f"{form} at {when}" for form in forms) if when else forms

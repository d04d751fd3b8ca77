"""Reports on the feature cache: which rows it covers, how full it is, or why it is not used."""

from __future__ import annotations

from collections.abc import Callable

from engine.training.trainer import Trainer
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.training import FeatureCacheReported
from tl_tui.runs.journal_writer import JournalWriter


class FeatureCacheReporter:
    """Emits reports after the steps of a run. The journal gets only changes of the cut."""

    def __init__(
        self, trainer: Trainer, journal: JournalWriter, emit: Callable[[AnyEvent], None]
    ) -> None:
        self.trainer, self.journal, self.emit = trainer, journal, emit
        self._last: FeatureCacheReported | None = None

    def report(self, *, fill: bool) -> None:
        """Emit what has changed since the last report.

        Args:
            fill: Whether to report how full the cache is, too, and not only a new cut.
        """
        features, chosen = self.trainer.feature_cache, self.trainer.chosen
        if features is None:
            return
        last, cut = self._last, chosen.cut
        name, why = cut.name if cut else "", chosen.why
        if cut and (failure := features.failure_at(cut)):
            why = f"no more can be kept: {failure}"
        moved = last is None or (last.cut, last.reason) != (name, why)
        if not moved and not fill:
            return
        memory, file = features.bytes_at(cut) if cut else (0, 0)
        event = FeatureCacheReported(
            rows=features.rows_below(cut),
            cut=name,
            images=features.images_at(cut) if cut else 0,
            total=features.images,
            memory_bytes=memory,
            file_bytes=file,
            hits=features.hits,
            misses=features.misses,
            reason=why,
        )
        if moved:
            self.journal.note("features", cut=name, rows=event.rows, why=why)
        if moved or last is None or (event.images, event.hits) != (last.images, last.hits):
            self.emit(event)
        self._last = event

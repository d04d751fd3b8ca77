"""Reports on the feature cache: which rows it covers, how full it is, or why it is not used."""

from __future__ import annotations

from collections.abc import Callable

from engine.session.progress import Progress
from engine.training.trainer import Trainer
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.training import FeatureCacheReported
from tl_tui.runs.journal_writer import JournalWriter


class FeatureCacheReporter:
    """Emits a report after each step of a run that changed it. The journal gets changes of the cut
    alone."""

    def __init__(
        self, trainer: Trainer, journal: JournalWriter, emit: Callable[[AnyEvent], None]
    ) -> None:
        self.trainer, self.journal, self.emit = trainer, journal, emit
        self._last: FeatureCacheReported | None = None

    def report(self, progress: Progress) -> None:
        """Emit the state of the cache if it has changed since the last report.

        Args:
            progress: The last step, to which the report belongs.
        """
        features, chosen = self.trainer.feature_cache, self.trainer.chosen
        if features is None:
            return
        last, cut = self._last, chosen.cut
        name, why = cut.name if cut else "", chosen.why
        if cut and (failure := features.failure_at(cut)):
            why = f"no more can be kept: {failure}"
        moved = last is None or (last.cut, last.reason) != (name, why)
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
            start=progress.start,
            step=progress.step,
        )
        if moved:
            self.journal.note("features", cut=name, rows=event.rows, why=why)
        if moved or cut:
            self.emit(event)
        self._last = event

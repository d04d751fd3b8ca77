"""What is told of the feature cache: where it stands, how full it is, why it is not used."""

from __future__ import annotations

from collections.abc import Callable

from engine.training.trainer import Trainer
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.training import FeatureCacheReported
from tl_tui.runs.journal_writer import JournalWriter


class FeatureCacheReporter:
    """Tells after steps of a run; the journal has the changes, not the filling."""

    def __init__(
        self, trainer: Trainer, journal: JournalWriter, emit: Callable[[AnyEvent], None]
    ) -> None:
        self.trainer, self.journal, self.emit = trainer, journal, emit
        self._told: FeatureCacheReported | None = None

    def tell(self, *, whole: bool) -> None:
        """Tell what changed since the last time.

        Args:
            whole: How full it is too, and not only where it stands.
        """
        features, chosen = self.trainer.feature_cache, self.trainer.chosen
        if features is None:
            return
        told, cut = self._told, chosen.cut
        name, why = cut.name if cut else "", chosen.why
        if cut and (failure := features.failure_at(cut)):
            why = f"no more can be kept: {failure}"
        moved = told is None or (told.cut, told.reason) != (name, why)
        if not moved and not whole:
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
        if moved or told is None or (event.images, event.hits) != (told.images, told.hits):
            self.emit(event)
        self._told = event

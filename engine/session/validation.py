"""Evaluation on the validation images, with its results and thumbnails; and unreadable images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from engine.checks.evaluation import Evaluation
from engine.checks.image_scores import ImageScores
from engine.data.samples import printable
from tl_tui.common.errors import Problem
from tl_tui.common.metrics import diverged
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.results import ImagesShown, Thumbnail
from tl_tui.protocol.training import ImageSkipped, Validated

if TYPE_CHECKING:
    from engine.data.batches import Batch
    from engine.data.samples import ImageFolder, Sample
    from engine.data.train_batches import TrainBatches
    from engine.session.context import SessionContext
    from engine.session.progress import Progress, WeightsVersion
    from tl_tui.runs.journal_writer import JournalWriter

MAX_THUMBNAILS = 64
MAX_THUMBNAIL_SIDE = 128
"""Pixels."""


class Validation:
    """Evaluates the model, one batch per unit of work, and keeps the full evaluations."""

    def __init__(
        self,
        context: SessionContext,
        progress: Progress,
        journal: JournalWriter,
        emit: Callable[[AnyEvent], None],
        skipped: SkippedImages,
    ) -> None:
        self.context, self.progress, self.journal, self.emit = context, progress, journal, emit
        self.skipped = skipped
        self.best: Validated | None = None
        """The full validation with the highest accuracy, then the lowest loss."""
        self._last: Evaluation | None = None
        self._last_of_starts: dict[int, Evaluation] = {}
        """The last full evaluation of each start."""
        self._best: Evaluation | None = None
        self._attempted: WeightsVersion | None = None
        """The weights that were last to be evaluated, whether an image could be read or not."""

    def resume(self, best: Validated | None, *, attempted: bool) -> None:
        """Restore the state that a checkpoint holds.

        Args:
            best: The best full validation so far.
            attempted: Whether the checkpoint's weights were validated.
        """
        self.best = best
        if attempted:
            self._attempted = self.progress.weights_version

    def is_current(self) -> bool:
        """Return whether the last full evaluation is of the current weights."""
        return self._is_of_current_weights(self._last)

    def best_is_current(self) -> bool:
        """Return whether the best full evaluation is of the current weights."""
        return self._is_of_current_weights(self._best)

    def _is_of_current_weights(self, evaluation: Evaluation | None) -> bool:
        return evaluation is not None and evaluation.weights_version == (
            self.progress.weights_version
        )

    def attempted(self) -> bool:
        """Return whether the current weights were validated, or no image could be read."""
        return self._attempted == self.progress.weights_version

    def evaluate_yardstick(self) -> Iterator[None]:
        """Evaluate on the yardstick, the fixed sample of the validation images."""
        evaluation = yield from self._evaluate(self.context.yardstick)
        self._emit_validated(evaluation, yardstick=True, best=False)

    def evaluate_all(self) -> Iterator[None]:
        """Evaluate on all validation images."""
        evaluation = yield from self._evaluate(self.context.folder.val, keep_scores=True)
        self._attempted = self.progress.weights_version
        self._report_clipped_values()
        if not evaluation.total:
            return  # no image can be read, and each was reported
        mean = evaluation.loss / evaluation.total
        best = not diverged(mean, len(self.context.folder.classes)) and (
            self.best is None
            or (-evaluation.correct, evaluation.loss)
            < (-self.best.correct, self.best.loss * self.best.total)
        )
        if self._last is not None:
            self._last.scores = None  # only those of the last evaluation are kept
        self._last = self._last_of_starts[evaluation.start] = evaluation
        event = self._emit_validated(evaluation, yardstick=False, best=best)
        if best:
            self.best, self._best = event, evaluation

    def _report_clipped_values(self) -> None:
        clipped = self.context.decoder.clipped.report()
        if clipped is not None:
            self.journal.note("values_clipped", **msgspec.structs.asdict(clipped))
            self.emit(clipped)

    def show_results(self) -> Iterator[None]:
        """Emit the results of the last full evaluation, after evaluating if there is none.

        Raises:
            Problem: no validation image can be read.
        """
        if self._last is None:
            yield from self.evaluate_all()
        if self._last is None:
            raise Problem("Not one validation image can be read, so there are no results.")
        last = self._last
        yield from last.measure()
        others = [
            evaluation
            for evaluation in [*self._last_of_starts.values(), self._best]
            if evaluation is not None and evaluation.weights_version != last.weights_version
        ]
        unique = {id(evaluation): evaluation for evaluation in others}
        stale = not self._is_of_current_weights(last)
        self.emit(last.results(unique.values(), stale=stale))

    def show_images(self, what: str, side: int, most: int) -> Iterator[None]:
        """Emit thumbnails of images as the model gets them, with the model's predictions.

        Args:
            what: `batch` is the next training batch; `wrong` is the validation images that the
                last full evaluation got most wrong.
            side: Length of a thumbnail's longer edge in pixels.
            most: The number of images at most.
        """
        side, most = min(side, MAX_THUMBNAIL_SIDE), min(most, MAX_THUMBNAILS)
        if what == "wrong":
            if self._last is None:
                yield from self.evaluate_all()
            wrong = self._last.wrong if self._last else []
            by_path = {printable(sample.path): sample for sample in self.context.folder.val}
            samples = tuple(by_path[image.path] for image in wrong[:most])
            total = self._last.total - self._last.correct if self._last else 0
            batch = self.context.decoder.collect(samples, self.context.decoder.submit(samples), 0)
        else:
            batch = self.context.trainer.batches.peek()
            total = len(batch.labels)
        yield
        self.emit(self._thumbnails(what, batch, side, most, total))

    def _thumbnails(self, what: str, batch: Batch, side: int, most: int, total: int) -> ImagesShown:
        from engine.checks.thumbnails import thumbnail_of

        thumbnails = []
        if len(batch.labels):
            predictions = self.context.trainer.evaluate(batch)
            for number, sample in enumerate(batch.samples[:most]):
                width, height, pixels = thumbnail_of(
                    batch.images[number], self.context.preset, side
                )
                thumbnails.append(
                    Thumbnail(
                        printable(sample.path),
                        sample.label,
                        predictions.predicted[number],
                        predictions.probability[number],
                        width,
                        height,
                        pixels,
                    )
                )
        return ImagesShown(
            selection=what,  # type: ignore[arg-type]
            start=self.progress.start,
            step=self.progress.step,
            images=tuple(thumbnails),
            total=total,
        )

    # --- units ----------------------------------------------------------------------------------

    def _new_evaluation(self) -> Evaluation:
        progress = self.progress
        cursor = self.context.trainer.batches.cursor
        epoch = cursor.epoch + (1 if cursor.number else 0)
        classes = len(self.context.folder.classes)
        return Evaluation(progress.weights_version, epoch, classes)

    def _evaluate(
        self, samples: tuple[Sample, ...], *, keep_scores: bool = False
    ) -> Generator[None, None, Evaluation]:
        """Evaluate on images; begin again if the weights change meanwhile.

        A step may be taken between two units, and a result belongs to one state of the weights.
        """
        while True:
            evaluation = self._new_evaluation()
            if keep_scores:
                evaluation.scores = ImageScores(evaluation.classes)
            yield from self._run(evaluation, samples)
            if self._is_of_current_weights(evaluation):
                return evaluation

    def _run(self, evaluation: Evaluation, samples: tuple[Sample, ...]) -> Iterator[None]:
        context = self.context
        for batch in context.trainer.held_out(samples, context.event.batch_size):
            if not self._is_of_current_weights(evaluation):
                return
            self.skipped.report(batch, "val")
            if len(batch.labels):
                keep = evaluation.scores is not None
                evaluation.add_batch(batch, context.trainer.evaluate(batch, keep_logits=keep))
            yield

    def _emit_validated(
        self, evaluation: Evaluation, *, yardstick: bool, best: bool
    ) -> Validated | None:
        if not evaluation.total:
            return None
        event = evaluation.validated(
            yardstick=yardstick, best=best, skipped_images=self.skipped.count
        )
        self.journal.note("validated", **msgspec.structs.asdict(event))
        self.emit(event)
        return event


class SkippedImages:
    """Images that could not be read. Each is emitted once and named in the journal."""

    def __init__(
        self, folder: ImageFolder, journal: JournalWriter, emit: Callable[[AnyEvent], None]
    ) -> None:
        self.folder, self.journal, self.emit = folder, journal, emit
        self._paths: set[str] = set()
        self._remaining: dict[str, Counter[int]] = {}
        """By part (`train`, `val`): the number of images of each class not known to be
        unreadable."""

    @property
    def count(self) -> int:
        """The number of images that could not be read."""
        return len(self._paths)

    def report(self, batch: Batch, part: Literal["train", "val", "fold"]) -> None:
        """Emit the images that a batch had to leave out, except those emitted before.

        Args:
            batch: The batch.
            part: The part of the data that the batch is from. Lost classes are not reported for a
                fold, which splits the data differently.
        """
        for sample, reason in batch.skipped:
            self._report(sample, reason, part)

    def report_known(self) -> None:
        """Emit the images that were found to be unreadable when the session was opened."""
        known = self.folder.unreadable
        for part, samples in (("train", self.folder.train), ("val", self.folder.val)):
            for sample in samples if known else ():
                if sample.path in known:
                    self._report(sample, known[sample.path], part)

    def report_found(self, batches: TrainBatches) -> None:
        """Emit the training images that were found to be unreadable since."""
        for index, reason in batches.unreadable.items():
            self._report(batches.samples[index], reason, "train")

    def _report(self, sample: Sample, reason: str, part: str) -> None:
        name = printable(sample.path)
        if name in self._paths:
            return
        self._paths.add(name)
        lost = self._lost_class(sample.label, part)
        self.journal.note("image_skipped", path=name, reason=reason, lost_class=lost)
        self.emit(ImageSkipped(path=name, reason=reason, total=len(self._paths), lost_class=lost))

    def _lost_class(self, label: int, part: str) -> str:
        """Return a sentence if this was the last image of its class in the part; else nothing."""
        if part == "fold":
            return ""
        if part not in self._remaining:
            samples = self.folder.train if part == "train" else self.folder.val
            self._remaining[part] = Counter(sample.label for sample in samples)
        self._remaining[part][label] -= 1
        if self._remaining[part][label]:
            return ""
        kind = "training" if part == "train" else "validation"
        return f"Not one {kind} image of {self.folder.classes[label]} can be read."

"""Looking at the validation images: the yardstick, the whole set, results, pictures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from engine.checks.evaluation import Evaluation
from engine.data.samples import printable
from tl_tui.common.errors import Problem
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.results import ImagesShown, Thumbnail
from tl_tui.protocol.training import ImageSkipped, Validated

if TYPE_CHECKING:
    from engine.data.batches import Batch
    from engine.data.samples import ImageFolder, Sample
    from engine.session.context import SessionContext
    from engine.session.progress import Progress
    from tl_tui.runs.journal_writer import JournalWriter

MOST_PICTURES = 64
LARGEST_SIDE = 128


class Validation:
    """Evaluates, a batch a unit, and remembers what every whole evaluation said."""

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
        """The whole validation with the highest accuracy so far; of equal ones the least loss."""
        self._last: Evaluation | None = None
        self._of_starts: dict[int, Evaluation] = {}
        """The last whole evaluation of each start."""
        self._best: Evaluation | None = None
        self._tried: tuple[int, int, int] | None = None

    def resume(self, best: Validated | None, *, tried: bool) -> None:
        """Stand where a run stood when it was saved."""
        self.best = best
        if tried:
            self._tried = self.progress.here

    def up_to_date(self) -> bool:
        """The last whole evaluation is of the weights as they are."""
        return self._last is not None and self._last.weights == self.progress.here

    def best_is_here(self) -> bool:
        """The best whole evaluation is of the weights as they are."""
        return self._best is not None and self._best.weights == self.progress.here

    def tried(self) -> bool:
        """The weights as they are were evaluated, or not one image could be read."""
        return self._tried == self.progress.here

    def yardstick(self) -> Iterator[None]:
        """The fixed validation images."""
        evaluation = self._new()
        yield from self._run(evaluation, self.context.yardstick)
        self._tell(evaluation, yardstick=True, best=False)

    def whole(self) -> Iterator[None]:
        """The whole validation set."""
        evaluation = self._new()
        yield from self._run(evaluation, self.context.folder.val)
        self._tried = self.progress.here
        if not evaluation.total:
            return  # not one image of it can be read; each was told of
        best = math.isfinite(evaluation.loss) and (
            self.best is None
            or (-evaluation.correct, evaluation.loss)
            < (-self.best.correct, self.best.loss * self.best.total)
        )
        self._last = self._of_starts[evaluation.start] = evaluation
        told = self._tell(evaluation, yardstick=False, best=best)
        if best:
            self.best, self._best = told, evaluation

    def results(self) -> Iterator[None]:
        """The whole of the last evaluation; a new one first if there was none."""
        if self._last is None:
            yield from self.whole()
        if self._last is None:
            raise Problem("Not one validation image can be read, so there are no results.")
        others = [
            evaluation
            for evaluation in [*self._of_starts.values(), self._best]
            if evaluation is not None and evaluation.weights != self._last.weights
        ]
        unique = {id(evaluation): evaluation for evaluation in others}
        self.emit(self._last.results(unique.values(), stale=not self.up_to_date()))

    def images(self, what: str, side: int, most: int) -> Iterator[None]:
        """Pictures of the coming batch as the model gets it, or of the most wrong images."""
        side, most = min(side, LARGEST_SIDE), min(most, MOST_PICTURES)
        if what == "wrong":
            if self._last is None:
                yield from self.whole()
            wrong = self._last.wrong if self._last else []
            named = {printable(sample.path): sample for sample in self.context.folder.val}
            samples = tuple(named[image.path] for image in wrong[:most])
            total = self._last.total - self._last.correct if self._last else 0
            batch = self.context.decoder.collect(samples, self.context.decoder.submit(samples), 0)
        else:
            batch = self.context.trainer.batches.peek()
            total = len(batch.labels)
        yield
        self.emit(self._pictures(what, batch, side, most, total))

    def _pictures(self, what: str, batch: Batch, side: int, most: int, total: int) -> ImagesShown:
        from engine.checks.thumbnails import thumbnail_of

        pictures = []
        if len(batch.labels):
            answers = self.context.trainer.evaluate(batch)
            for number, sample in enumerate(batch.samples[:most]):
                width, height, pixels = thumbnail_of(
                    batch.images[number], self.context.preset, side
                )
                pictures.append(
                    Thumbnail(
                        printable(sample.path),
                        sample.label,
                        answers.predicted[number],
                        answers.probability[number],
                        width,
                        height,
                        pixels,
                    )
                )
        return ImagesShown(
            selection=what,  # type: ignore[arg-type]
            step=self.progress.step,
            images=tuple(pictures),
            total=total,
        )

    # --- units ----------------------------------------------------------------------------------

    def _new(self) -> Evaluation:
        progress = self.progress
        epoch = -(-self.context.trainer.batches.position // progress.batches_per_epoch)
        classes = len(self.context.folder.classes)
        return Evaluation(progress.here, epoch, classes)

    def _run(self, evaluation: Evaluation, samples: tuple[Sample, ...]) -> Iterator[None]:
        context = self.context
        for batch in context.trainer.held_out(samples, context.event.batch_size):
            self.skipped.tell(batch, "val")
            if len(batch.labels):
                answers = context.trainer.evaluate(batch)
                evaluation.add(
                    [printable(sample.path) for sample in batch.samples],
                    batch.labels.tolist(),
                    answers.predicted,
                    answers.probability,
                    answers.label_probability,
                    answers.loss,
                )
            yield

    def _tell(self, evaluation: Evaluation, *, yardstick: bool, best: bool) -> Validated | None:
        if not evaluation.total:
            return None
        event = evaluation.validated(
            yardstick=yardstick, best=best, skipped_images=self.skipped.count
        )
        self.journal.note("validated", **msgspec.structs.asdict(event))
        self.emit(event)
        return event


class SkippedImages:
    """Images that could not be read: each is told once, and named in the journal."""

    def __init__(
        self, folder: ImageFolder, journal: JournalWriter, emit: Callable[[AnyEvent], None]
    ) -> None:
        self.folder, self.journal, self.emit = folder, journal, emit
        self._paths: set[str] = set()
        self._left: dict[str, Counter[int]] = {}
        """Images of each class that may still be read, once one could not: of train and val."""

    @property
    def count(self) -> int:
        return len(self._paths)

    def tell(self, batch: Batch, part: Literal["train", "val", "fold"]) -> None:
        """Tell of what a batch had to leave out.

        Args:
            batch: The batch.
            part: Which images it is of; of a fold's a class is not told to be lost.
        """
        for sample, reason in batch.skipped:
            name = printable(sample.path)
            if name in self._paths:
                continue
            self._paths.add(name)
            lost = self._lost(sample.label, part)
            self.journal.note("image_skipped", path=name, reason=reason, lost_class=lost)
            self.emit(
                ImageSkipped(path=name, reason=reason, total=len(self._paths), lost_class=lost)
            )

    def _lost(self, label: int, part: str) -> str:
        """The class, if with this image the last of it in this part is gone."""
        if part == "fold":
            return ""
        if part not in self._left:
            samples = self.folder.train if part == "train" else self.folder.val
            self._left[part] = Counter(sample.label for sample in samples)
        self._left[part][label] -= 1
        if self._left[part][label]:
            return ""
        where = "training" if part == "train" else "validation"
        return f"Not one {where} image of {self.folder.classes[label]} can be read."

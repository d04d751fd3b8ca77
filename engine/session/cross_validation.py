"""Cross-validation: train and validate on K splits of the images, each from the same start."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from engine.checks.evaluation import Evaluation
from engine.data.splits import split_folds
from engine.data.train_batches import TrainBatches
from engine.training.step_errors import StepRefused
from tl_tui.common.errors import Problem
from tl_tui.protocol.checks import CrossValidationEnded, FoldProgressed, FoldValidated
from tl_tui.protocol.layers import NormMode
from tl_tui.protocol.training import EndReason, StepNotApplied
from tl_tui.settings import schedule

if TYPE_CHECKING:
    from engine.data.samples import ImageFolder
    from engine.session.context import SessionContext
    from engine.session.progress import Progress
    from engine.session.start_snapshots import StartSnapshots
    from engine.session.validation import SkippedImages
    from tl_tui.runs.journal_writer import JournalWriter


class CrossValidation:
    """Trains once per fold, with the current trainable layers, recipe and BatchNorm modes.

    Each image is used for validation exactly once. Frozen layers below the boundary are executed
    once per image for all folds together, unless images are augmented.
    """

    def __init__(
        self,
        context: SessionContext,
        progress: Progress,
        starts: StartSnapshots,
        norm_modes: Mapping[int, NormMode],
        count: int,
    ) -> None:
        """
        Args:
            context: The session.
            progress: The session's progress, with the mask of the next step.
            starts: The folds begin from what the current start began from.
            norm_modes: The BatchNorm modes that the user set, by owner.
            count: The number of folds.

        Raises:
            Problem: there are fewer than two folds, or more than images of a class.
        """
        batches = context.trainer.batches
        unreadable = {batches.samples[i].path: why for i, why in batches.unreadable.items()}
        self._unreadable = {**context.folder.unreadable, **unreadable}
        """Why an image cannot be read, by path, as far as this is known."""
        folder = replace(context.folder, unreadable=self._unreadable)
        self.parts = split_folds(folder, count, context.config.seed)
        self.results: list[FoldValidated] = []
        self.context, self.starts = context, starts
        self.mask, self.norm_modes = progress.wanted, dict(norm_modes)
        self.steps = context.config.steps
        self.cached = context.config.feature_cache != "off"

    def run(
        self, skipped: SkippedImages, journal: JournalWriter
    ) -> Iterator[FoldProgressed | FoldValidated | CrossValidationEnded | StepNotApplied | None]:
        """Train and validate all folds, one batch per unit of work.

        The trainer and its batches are restored however it ends.

        Args:
            skipped: Reports images that cannot be read.
            journal: The run's journal.

        Yields:
            The progress after each step, the result of each fold, and at last of all folds.

        Raises:
            Problem: no validation image of a fold can be read.
        """
        parts, count = self.parts, len(self.parts)
        trainer = self.context.trainer
        kept, batches = trainer.snapshot(), trainer.batches
        results, done = self.results, False
        refused: StepRefused | None = None
        journal.note("folds_began", folds=count)
        try:
            for number, part in enumerate(parts, start=1):
                yield from self._fold(part, number, count, skipped, results)
                journal.note("fold", **_fields(results[-1]))
                yield results[-1]
            done = True
        except StepRefused as error:
            refused, done = error, True
        finally:
            trainer.batches = batches
            trainer.restore(kept)
            if not done:
                journal.note("folds", **_fields(self.ended("paused")))
        if refused is not None:
            what = "ran out of memory" if refused.memory else f"failed: {refused}"
            sentence = f"A step of fold {len(results) + 1} {what}"
            yield StepNotApplied(
                id=0, start=0, step=0, sentence=f"{sentence.rstrip('.')}.", memory=refused.memory
            )
        ended = self.ended("failed" if refused is not None else "done")
        journal.note("folds", **_fields(ended))
        yield ended

    def _fold(
        self,
        part: ImageFolder,
        number: int,
        count: int,
        skipped: SkippedImages,
        results: list[FoldValidated],
    ) -> Iterator[FoldProgressed | None]:
        context, trainer = self.context, self.context.trainer
        recipe, began = trainer.recipe, time.monotonic()
        batches = TrainBatches(
            part.train,
            min(context.event.batch_size, len(part.train)),
            context.config.seed,
            context.decoder,
            self._unreadable,
        )
        batches.configure(augmentation=recipe.augmentation, balance=recipe.balance)
        trainer.batches = batches
        trainer.restore(self.starts.current.snapshot)
        step, steps = 0, self._steps(recipe.epochs, batches)
        while step < steps:
            factor = schedule.lr_factor(recipe.schedule, step, steps, recipe.warmup)
            result = trainer.step(
                self.mask,
                self.norm_modes,
                measured=False,
                lr_factor=factor,
                cached=self.cached,
                replayed=True,
            )
            skipped.report(result.batch, "fold")
            step, steps = step + 1, self._steps(recipe.epochs, batches)
            yield FoldProgressed(fold=number, folds=count, step=step, steps=steps)
        self._unreadable |= {part.train[i].path: why for i, why in batches.unreadable.items()}
        evaluation = Evaluation((0, steps, 0), recipe.epochs, len(part.classes))
        for batch in trainer.held_out(part.val, context.event.batch_size):
            skipped.report(batch, "fold")
            if len(batch.labels):
                evaluation.add_batch(batch, trainer.evaluate(batch))
            yield None
        if not evaluation.total:
            raise Problem(f"None of the validation images of fold {number} can be read.")
        results.append(
            FoldValidated(
                fold=number,
                folds=count,
                correct=evaluation.correct,
                total=evaluation.total,
                loss=evaluation.loss / evaluation.total,
                per_class=evaluation.class_counts,
                steps=steps,
                cached=cut.name if (cut := trainer.chosen.cut) is not None else "",
                seconds=time.monotonic() - began,
            )
        )

    def _steps(self, epochs: int, batches: TrainBatches) -> int:
        """Return the steps of a fold; fewer if images turn out to be unreadable."""
        return self.steps or epochs * batches.batches_per_epoch

    def ended(self, reason: EndReason) -> CrossValidationEnded:
        """Return the event that ends the cross-validation, with the results of the folds so far."""
        return CrossValidationEnded(
            folds=len(self.parts),
            correct=sum(result.correct for result in self.results),
            total=sum(result.total for result in self.results),
            accuracies=tuple(result.correct / result.total for result in self.results),
            reason=reason,
        )


def _fields(event: Any) -> dict[str, Any]:
    return msgspec.structs.asdict(event)

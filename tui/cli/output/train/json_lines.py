"""The report of `tl-tui train --json`: strict JSON, one object per line."""

from __future__ import annotations

import statistics
from typing import Any

import msgspec

from tl_tui.common.metrics import balanced_accuracy, interval
from tl_tui.protocol.checks import CrossValidationEnded, FoldValidated
from tl_tui.protocol.dataset import ValuesClipped
from tl_tui.protocol.events import AnyEvent, Refused
from tl_tui.protocol.session import (
    CycleBegan,
    EpochResized,
    MaskPlanned,
    Plan,
    PlanChanged,
    SessionOpened,
)
from tl_tui.protocol.training import (
    CheckpointSaved,
    ImageSkipped,
    StepNotApplied,
    StepTaken,
    TrainBegan,
    TrainEnded,
    Validated,
)
from tl_tui.runs.step_line import step_fields
from tui.app.config_from_state import mask_names
from tui.cli import exit_codes
from tui.cli.output.train.run_summary import RunSummary
from tui.cli.output.train.sentences import majority_share, resume_command
from tui.cli.printing import print_json


class JsonLines:
    """A report as JSON lines. Accuracies are from 0 to 1; non-finite numbers are strings."""

    def __init__(self) -> None:
        self._summary: RunSummary | None = None

    def opened(self, session: SessionOpened, folds: int | None) -> None:
        self._summary = RunSummary(session)
        owners = session.stack.owners
        self._line(
            "opened",
            arch=session.arch,
            weights=session.weights,
            weights_why=session.weights_reason,
            data=session.data,
            classes=session.classes,
            train_images=session.train_images,
            val_images=session.val_images,
            dataset=msgspec.to_builtins(session.dataset),
            device=session.device,
            image_size=session.image_size,
            batch_size=session.batch_size,
            batches_per_epoch=session.batches_per_epoch,
            recipe=msgspec.structs.asdict(session.recipe),
            plan=self._plan(session.plan),
            seed=session.seed,
            strategy=session.strategy,
            params=sum(owner.params for owner in owners),
            trainable_params=sum(owners[owner].params for owner in session.trainable),
            run_dir=session.run_dir,
            notes=session.notes,
        )

    def event_received(self, event: AnyEvent) -> None:
        assert self._summary is not None
        self._summary.update(event)
        match event:
            case TrainBegan():
                self._line("began", step=event.step, to_step=event.to_step)
            case StepTaken():
                self._stepped(event)
            case StepNotApplied():
                self._not_applied(event)
            case Refused(harmless=True):
                self._line("note", text=event.reason)
            case ImageSkipped():
                self._line(
                    "image_skipped",
                    path=event.path,
                    reason=event.reason,
                    total=event.total,
                    lost_class=event.lost_class or None,
                )
            case ValuesClipped():
                self._line("values_clipped", **msgspec.structs.asdict(event))
            case Validated(yardstick=False):
                self._validated(event)
            case CheckpointSaved():
                self._line(
                    "checkpoint",
                    name=event.name,
                    step=event.step,
                    path=event.path,
                    failure=event.failure or None,
                )
            case PlanChanged():
                plan = self._plan(event.plan)
                self._line("plan", **(plan or {"name": None, "phases": []}), why=event.reason)
            case MaskPlanned():
                names = mask_names(self._session.stack, event.trainable)
                self._line("mask", trainable=names, why=event.reason)
            case CycleBegan():
                cycle = event.cycle
                self._line(
                    "cycle", after_step=cycle.after_step, steps=cycle.steps, why=event.reason
                )
            case EpochResized():
                self._line(
                    "epoch_resized",
                    batches_per_epoch=event.batches_per_epoch,
                    to_step=event.to_step,
                )
            case FoldValidated():
                self._fold(event)
            case CrossValidationEnded():
                self._folds(event)
            case TrainEnded(reason="done" | "failed"):
                self._line("ended", step=event.step, reason=event.reason)

    def close(self, code: int | None) -> None:
        if self._summary is not None and code is not None and not self._summary.ended:
            reason = "failed" if code == exit_codes.FAILED else "stopped"
            self._line("ended", step=self._summary.steps, reason=reason)

    def _stepped(self, step: StepTaken) -> None:
        fields = step_fields(self._session.stack.rows, step)
        layers = {"layers": fields.pop("layers")} if "layers" in fields else {}
        fields = {**fields, "epoch": step.epoch, "lr_factor": step.lr_factor}
        self._line("step", **fields, **layers)

    def _not_applied(self, event: StepNotApplied) -> None:
        assert self._summary is not None
        stack = self._session.stack
        fits = event.trainable
        trainable = None if fits is None else mask_names(stack, fits)
        self._line(
            "step_not_applied",
            step=event.step,
            why=event.sentence,
            memory=event.memory,
            loss=event.loss,
            layer=None if event.row is None else stack.rows[event.row].name,
            needed=event.needed,
            available=event.available,
            fits_trainable=trainable,
            fits_batch_size=event.batch_size,
            resume=resume_command(self._summary, event) if event.step else None,
        )

    def _validated(self, result: Validated) -> None:
        session = self._session
        self._line(
            "validation",
            epoch=result.epoch,
            step=result.step,
            loss=result.loss,
            **_accuracy(result.correct, result.total),
            balanced_accuracy=balanced_accuracy(result.per_class) if result.per_class else None,
            chance=1 / len(session.classes),
            majority=majority_share(session, result),
            majority_class=session.classes[session.majority_class],
            per_class=self._per_class(result.per_class),
            best=result.best,
            skipped_images=result.skipped_images,
        )

    def _fold(self, fold: FoldValidated) -> None:
        self._line(
            "fold",
            fold=fold.fold,
            folds=fold.folds,
            loss=fold.loss,
            **_accuracy(fold.correct, fold.total),
            balanced_accuracy=balanced_accuracy(fold.per_class) if fold.per_class else None,
            per_class=self._per_class(fold.per_class),
            chance=1 / len(self._session.classes),
            steps=fold.steps,
            seconds=round(fold.seconds, 3),
            cached=fold.cached or None,
        )

    def _folds(self, ended: CrossValidationEnded) -> None:
        shares = ended.accuracies
        self._line(
            "folds",
            folds=ended.folds,
            accuracies=shares,
            mean=statistics.fmean(shares) if shares else None,
            spread=statistics.stdev(shares) if len(shares) > 1 else None,
            **_accuracy(ended.correct, ended.total),
            reason=ended.reason,
        )
        if ended.reason != "paused":
            assert self._summary is not None
            self._line("ended", step=self._summary.steps, reason=ended.reason)

    @property
    def _session(self) -> SessionOpened:
        assert self._summary is not None
        return self._summary.session

    def _per_class(self, counts: tuple[tuple[int, int], ...]) -> dict[str, float | None]:
        """Return the accuracy of each class by name; None for a class without images."""
        return {
            name: correct / total if total else None
            for name, (correct, total) in zip(self._session.classes, counts, strict=False)
        }

    def _plan(self, plan: Plan | None) -> dict[str, Any] | None:
        if plan is None:
            return None
        stack = self._session.stack
        phases = [
            {
                "name": phase.name,
                "epoch": phase.epoch,
                "after_step": phase.after_step,
                "steps": phase.steps,
                "trainable": mask_names(stack, phase.trainable),
            }
            for phase in plan.phases
        ]
        return {"name": plan.name, "phases": phases}

    def _line(self, event: str, **fields: Any) -> None:
        print_json({"event": event, **fields})


def _accuracy(correct: int, total: int) -> dict[str, Any]:
    return {
        "accuracy": correct / total if total else None,
        "correct": correct,
        "total": total,
        "interval": interval(correct, total),
    }

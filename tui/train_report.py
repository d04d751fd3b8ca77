"""What `tl-tui train` prints while it trains: JSON lines, plain lines, or a progress bar."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any, Protocol

import msgspec

from engine import strict_json
from engine.protocol import ImageSkipped, SessionOpened, StepTaken, TrainEnded, Validated
from engine.record import step_fields


class TrainReport(Protocol):
    """Told what happens, in order; `left` at the very end, however it came."""

    def opened(self, session: SessionOpened) -> None: ...
    def stepped(self, step: StepTaken) -> None: ...
    def skipped(self, image: ImageSkipped) -> None: ...
    def validated(self, result: Validated) -> None: ...
    def ended(self, end: TrainEnded) -> None: ...
    def left(self) -> None: ...


def chance_count(session: SessionOpened, total: int) -> int:
    """How many of `total` images guessing the most frequent class gets right."""
    return round(session.chance * total)


def reach_summary(step: StepTaken) -> str:
    """Such as `3 updated, 1 passed, 6 unreached`; empty if the step was not measured."""
    counts = Counter(row.reach for row in step.rows)
    return ", ".join(
        f"{counts[reach]} {reach}" for reach in ("updated", "passed", "unreached") if counts[reach]
    )


class JsonLines:
    """One strict JSON object a line, and nothing else."""

    def __init__(self) -> None:
        self._session: SessionOpened | None = None

    def opened(self, session: SessionOpened) -> None:
        self._session = session
        owners = session.stack.owners
        self._line(
            "opened",
            arch=session.arch,
            weights=session.weights,
            weights_why=session.weights_why,
            data=session.data,
            classes=session.classes,
            train_images=session.train_images,
            val_images=session.val_images,
            device=session.device,
            image_size=session.image_size,
            batch_size=session.batch_size,
            recipe=msgspec.structs.asdict(session.recipe),
            seed=session.seed,
            strategy=session.strategy,
            params=sum(owner.params for owner in owners),
            trainable_params=sum(owners[owner].params for owner in session.wanted),
            run_dir=session.run_dir,
            notes=session.notes,
        )

    def stepped(self, step: StepTaken) -> None:
        assert self._session is not None
        self._line("step", **step_fields(self._session.stack.rows, step))

    def skipped(self, image: ImageSkipped) -> None:
        self._line("image_skipped", path=image.path, reason=image.reason, total=image.total)

    def validated(self, result: Validated) -> None:
        assert self._session is not None
        self._line(
            "validated",
            step=result.step,
            correct=result.correct,
            total=result.total,
            loss=result.loss,
            chance=chance_count(self._session, result.total),
        )

    def ended(self, end: TrainEnded) -> None:
        self._line("ended", step=end.step, reason=end.reason)

    def left(self) -> None:
        pass

    def _line(self, event: str, **fields: Any) -> None:
        print(strict_json.dumps({"event": event, **fields}), flush=True)


class PlainLines:
    """A line for every measured step; for logs and pipes."""

    def __init__(self) -> None:
        self._session: SessionOpened | None = None
        self._measured: StepTaken | None = None

    def opened(self, session: SessionOpened) -> None:
        self._session = session
        self._print(headline(session))
        for note in session.notes:
            self._print(note)

    def stepped(self, step: StepTaken) -> None:
        if not step.rows:
            return
        self._measured = step
        self._print(
            f"step {step.step}  loss {step.loss:.3f}  batch {step.correct}/{step.batch}  "
            f"{step.seconds * 1000:.1f} ms  {reach_summary(step)}"
        )

    def skipped(self, image: ImageSkipped) -> None:
        print(f"Left out {image.path}: {image.reason}", file=sys.stderr, flush=True)

    def validated(self, result: Validated) -> None:
        assert self._session is not None
        self._print(validation_words(self._session, result))

    def ended(self, end: TrainEnded) -> None:
        assert self._session is not None
        for line in last_words(self._session, self._measured):
            self._print(line)

    def left(self) -> None:
        pass

    def _print(self, line: str) -> None:
        print(line, flush=True)


class ProgressBar:
    """A progress bar with the last loss, and at the end what the last step did."""

    def __init__(self, steps: int) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.table import Column

        from .printing import console

        self._console = console()
        # In 80 columns the bar gives way before the words do.
        whole = Column(no_wrap=True, min_width=2 * len(str(steps)) + 1)
        columns: list[ProgressColumn] = [
            TextColumn("step"),
            MofNCompleteColumn(table_column=whole),
            BarColumn(bar_width=None),
        ]
        if self._console.width >= 100:
            columns.append(TimeRemainingColumn(compact=True))
        columns.append(TextColumn("{task.fields[told]}"))
        self._progress = Progress(*columns, console=self._console, expand=True)
        self._task = self._progress.add_task("train", total=steps, told="opening")
        self._session: SessionOpened | None = None
        self._measured: StepTaken | None = None
        self._progress.start()

    def opened(self, session: SessionOpened) -> None:
        self._session = session
        self._say(headline(session))
        for note in session.notes:
            self._say(note)

    def stepped(self, step: StepTaken) -> None:
        if step.rows:
            self._measured = step
        reach = f" · {reach_summary(self._measured)}" if self._measured else ""
        told = f"loss {step.loss:.3f} · batch {step.correct}/{step.batch}{reach}"
        self._progress.update(self._task, completed=step.step, told=told)

    def skipped(self, image: ImageSkipped) -> None:
        self._say(f"Left out {image.path}: {image.reason}")

    def validated(self, result: Validated) -> None:
        assert self._session is not None
        self._say(validation_words(self._session, result))

    def ended(self, end: TrainEnded) -> None:
        assert self._session is not None
        self._progress.stop()
        for line in last_words(self._session, self._measured):
            self._say(line)

    def left(self) -> None:
        self._progress.stop()

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False)


def headline(session: SessionOpened) -> str:
    """What is trained, on what, where."""
    owners = session.stack.owners
    trains = sum(owners[owner].params for owner in session.wanted)
    return (
        f"{session.arch}, {session.weights} weights, {session.data}: {len(session.classes)} "
        f"classes, {session.train_images} + {session.val_images} images; {session.device}; "
        f"{trains:,} of {sum(owner.params for owner in owners):,} parameters train"
    )


def validation_words(session: SessionOpened, result: Validated) -> str:
    """The validation with chance beside it."""
    return (
        f"Validation: {result.correct} of {result.total} right "
        f"(chance {chance_count(session, result.total)}), loss {result.loss:.3f}."
    )


def last_words(session: SessionOpened, measured: StepTaken | None) -> list[str]:
    """What the last measured step did, as the screen's caption says it, and where the run is."""
    from .caption import caption_of

    said = [caption_of(session.stack, measured)] if measured else []
    return [*said, f"Run: {session.run_dir}"]

"""TensorBoard event files in the run directory, written with tensorboardX.

`torch.utils.tensorboard` writes the same files but requires the TensorBoard viewer with its web
server. `EventsWriter` is used instead of `SummaryWriter`, which passes events to a thread and waits
forever if that thread has died of a full disk.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tl_tui.common.errors import Problem
from tl_tui.common.metrics import balanced_accuracy
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import RecipeChanged, SessionOpened
from tl_tui.protocol.training import StepTaken, Validated

if TYPE_CHECKING:
    from tensorboardX.event_file_writer import EventsWriter

FOLDER = "tensorboard"
"""The folder in the run directory; it holds one folder per start."""
FLUSH_S = 10.0
"""Seconds between two flushes to the disk."""


class TensorBoardMissing(Problem):
    """TensorBoard files were requested, but tensorboardX cannot be imported."""


def require() -> None:
    """Check that tensorboardX can be imported.

    Raises:
        TensorBoardMissing: it is not installed, or importing it fails.
    """
    try:
        import tensorboardX.event_file_writer  # noqa: F401
    except Exception as error:  # an incompatible protobuf raises a TypeError
        if isinstance(error, ModuleNotFoundError) and error.name == "tensorboardX":
            raise TensorBoardMissing(
                "--tensorboard: tensorboardX is not installed; pip install tensorboardX, "
                "or leave the option out."
            ) from error
        raise TensorBoardMissing(
            f"--tensorboard: tensorboardX does not load ({error}); reinstall it, "
            "or leave the option out."
        ) from error


class TensorBoard:
    """Writes steps and validations to event files, one folder per start.

    If a file cannot be written, for example on a full disk, writing ends and the run continues.
    """

    def __init__(self, session: SessionOpened) -> None:
        """
        Args:
            session: The session, with its run directory. No file is created before the first step.

        Raises:
            TensorBoardMissing: tensorboardX cannot be imported.
        """
        require()
        self.folder = Path(session.run_dir) / FOLDER
        self.failure = ""
        """Why writing ended; empty while it has not."""
        self._rows = session.stack.rows
        self._rates = session.rates
        self._writers: dict[int, EventsWriter] = {}
        self._flushed = time.monotonic()

    def write_event(self, event: AnyEvent) -> None:
        """Write a step or a validation; other events write nothing."""
        match event:
            case StepTaken():
                self.write_step(event)
            case Validated():
                self.write_validation(event)
            case RecipeChanged():
                self._rates = event.rates

    def write_step(self, event: StepTaken) -> None:
        """Write a step's scalars; for a measured step, also the norms and rate of each layer.

        A layer without a gradient gets no gradient norm.
        """
        scalars = {
            "loss/train": event.loss,
            "accuracy/train": event.correct / event.batch if event.batch else None,
            "lr/factor": event.lr_factor,
        }
        for row, rate, measured in zip(self._rows, self._rates, event.rows, strict=False):
            scalars[f"lr/{row.name}"] = rate * event.lr_factor
            scalars[f"grad_norm/{row.name}"] = measured.grad_norm
            scalars[f"weight_norm/{row.name}"] = measured.weight_norm
            scalars[f"update_ratio/{row.name}"] = measured.update_ratio
        self._write(event.start, event.step, scalars)

    def write_validation(self, event: Validated) -> None:
        """Write a validation, with separate tags for the yardstick."""
        kind = "yardstick" if event.yardstick else "validation"
        scalars: dict[str, float | None] = {
            f"loss/{kind}": event.loss,
            f"accuracy/{kind}": event.correct / event.total if event.total else None,
        }
        if event.per_class:
            scalars["accuracy/validation_balanced"] = balanced_accuracy(event.per_class)
        self._write(event.start, event.step, scalars)
        if not event.yardstick:
            self._flush()

    def close(self) -> None:
        """Flush and close the files."""
        writers = list(self._writers.values())
        self._writers.clear()
        for writer in writers:
            try:
                writer.close()
            except OSError as error:
                self._end_writing(error)

    def _write(self, start: int, step: int, scalars: dict[str, float | None]) -> None:
        if self.failure:
            return
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        values = [
            Summary.Value(tag=tag, simple_value=value)
            for tag, value in scalars.items()
            if value is not None
        ]
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        try:
            self._writer(start).write_event(event)
        except OSError as error:
            self._end_writing(error)
        if time.monotonic() - self._flushed > FLUSH_S:
            self._flush()

    def _writer(self, start: int) -> EventsWriter:
        from tensorboardX.event_file_writer import EventsWriter

        if start not in self._writers:
            folder = self.folder / f"start-{start}"
            folder.mkdir(parents=True, exist_ok=True)
            self._writers[start] = EventsWriter(str(folder / "events"))
        return self._writers[start]

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        try:
            for writer in self._writers.values():
                writer.flush()
        except OSError as error:
            self._end_writing(error)

    def _end_writing(self, error: OSError) -> None:
        self.failure = f"{self.folder} cannot be written ({error.strerror or error})."
        print(f"No more TensorBoard files are written: {self.failure}")  # to the engine's log
        self._writers.clear()

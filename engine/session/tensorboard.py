"""TensorBoard event files in the run directory, on request: scalars, and norms by layer.

tensorboardX writes them: the same files as `torch.utils.tensorboard`, which needs the viewer's
whole package with its web server. Its `EventsWriter` is used rather than its `SummaryWriter`:
that one hands every event to a thread, and waits for ever when the thread has died of a full disk.
Imports no torch.
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
"""In the run directory; a folder for every start is in it."""
FLUSH_S = 10.0
"""How old what is not yet on the disk may get."""


class TensorBoardMissing(Problem):
    """TensorBoard files were asked for, and what writes them is not installed."""


def require() -> None:
    """Refuse before anything is trained if the files could not be written.

    Raises:
        TensorBoardMissing: tensorboardX is not installed, or does not load.
    """
    try:
        import tensorboardX.event_file_writer  # noqa: F401
    except Exception as error:  # a protobuf that does not fit raises a TypeError
        if isinstance(error, ModuleNotFoundError) and error.name == "tensorboardX":
            raise TensorBoardMissing(
                "--tensorboard: tensorboardX is not installed; pip install tensorboardX, "
                "or leave the option out."
            ) from error
        raise TensorBoardMissing(
            f"--tensorboard: tensorboardX does not load ({error}); install it anew, "
            "or leave the option out."
        ) from error


class TensorBoard:
    """Writes what happens into event files, a folder a start, so that starts can be compared.

    A file that cannot be written, on a full disk for one, ends the writing and not the run.
    """

    def __init__(self, session: SessionOpened) -> None:
        """
        Args:
            session: Whose run directory the files go into; nothing is made before the first step.

        Raises:
            TensorBoardMissing: see `require`.
        """
        require()
        self.folder = Path(session.run_dir) / FOLDER
        self.failure = ""
        """Why nothing is written any more; empty while all is well."""
        self._rows = session.stack.rows
        self._rates = session.rates
        self._writers: dict[int, EventsWriter] = {}
        self._flushed = time.monotonic()

    def heard(self, event: AnyEvent) -> None:
        """Write what an event of the session says; events that say nothing are passed over."""
        match event:
            case StepTaken():
                self.step(event)
            case Validated():
                self.validated(event)
            case RecipeChanged():
                self._rates = event.rates

    def step(self, event: StepTaken) -> None:
        """Write a step: its scalars, and if it was measured every layer's norms and rate.

        A layer without a gradient has no gradient norm, and so no point.
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

    def validated(self, event: Validated) -> None:
        """Write a validation; the yardstick's has tags of its own."""
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
        """Write what waits, and close the files."""
        writers = list(self._writers.values())
        self._writers.clear()
        for writer in writers:
            try:
                writer.close()
            except OSError as error:
                self._failed(error)

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
            self._failed(error)
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
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        self.failure = f"{self.folder} cannot be written ({error.strerror or error})."
        print(f"TensorBoard files end here: {self.failure}")  # into the engine's log
        self._writers.clear()

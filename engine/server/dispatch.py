"""Dispatches the commands of one session: opening it, its run, and jobs on finished runs.

The server calls `work()` for one unit of work at a time and handles commands in between. A unit is
a stage of opening, a training step or a batch of a validation, so everything long can be paused and
stopped.

torch is imported while the session opens: the server must be able to answer before that.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.hardware import torch_import
from engine.server import jobs
from engine.session import tensorboard
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import (
    AnyCommand,
    Hello,
    Job,
    Open,
    ResumeRun,
    SetDisconnectAction,
    Shutdown,
    TakeOver,
)
from tl_tui.protocol.events import AnyEvent, Confirmed, JobEnded, Refused, WorkKind
from tl_tui.protocol.session import LoadingProgressed, OpenFailed
from tl_tui.runs.run_reader import checkpoint_path, config_to_resume, find_run, read_config

if TYPE_CHECKING:
    from engine.session.context import SessionContext
    from engine.session.run import Run


class Dispatcher:
    """Opens a session, and then passes commands and units of work to the session's run."""

    def __init__(
        self,
        emit: Callable[[AnyEvent], None],
        on_run_dir: Callable[[Path], None] = lambda _: None,
    ) -> None:
        """
        Args:
            emit: Called with every event, in order.
            on_run_dir: Called with the run directory once it exists.
        """
        self.emit = emit
        self.on_run_dir = on_run_dir
        self.run: Run | None = None
        self._opening: Iterator[SessionContext | None] | None = None
        self._stage = ""
        self._tensorboard: tensorboard.TensorBoard | None = None
        self._resume_command: ResumeRun | None = None
        self._job: Iterator[AnyEvent | None] | None = None

    @property
    def busy(self) -> str:
        """The name of the current unit of work; empty between units."""
        return self.run.busy if self.run else self._stage

    @property
    def work_kind(self) -> WorkKind:
        """Whether the current unit of work is a train step."""
        return self.run.work_kind if self.run else "other"

    def handle(self, command: AnyCommand) -> None:
        """Execute a command or queue it for `work`; emit one `Confirmed` or `Refused`."""
        if isinstance(command, (Hello, SetDisconnectAction, TakeOver, Shutdown)):
            return  # the server handles these
        if isinstance(command, (Open, ResumeRun)):
            refusal = self._start_opening(command)
        elif isinstance(command, Job):
            refusal = self._start_job(command)
        elif self.run is None:
            refusal = "The session is not open yet."
        else:
            refusal = self.run.handle(command)
        if refusal:
            self.emit(Refused(id=command.id, reason=refusal))
        else:
            self.emit(Confirmed(id=command.id))

    def work(self) -> bool:
        """Do one unit of work; return False if there was none."""
        if self._job is not None:
            self._do_job_unit()
            return True
        if self.run is not None:
            return self.run.work()
        if self._opening is None:
            return False
        self._stage = "opening"
        try:
            self._do_opening_stage()
        finally:
            self._stage = ""
        return True

    def close(self) -> None:
        """Save the run, flush its journal and close the TensorBoard files."""
        if isinstance(self._job, Generator):
            self._job.close()  # a job removes its unfinished files
        if self.run is not None:
            self.run.close()
        if self._tensorboard is not None:
            self._tensorboard.close()

    # --- jobs -----------------------------------------------------------------------------------

    def _start_job(self, command: Job) -> str:
        if self._job is not None:
            return "The engine is busy with another job."
        self._job = jobs.start_job(command)
        return ""

    def _do_job_unit(self) -> None:
        assert self._job is not None
        self._stage = "job"
        try:
            event = next(self._job)
        except StopIteration:
            event, self._job = JobEnded(), None
        except Problem as problem:
            event, self._job = JobEnded(failure=str(problem)), None
        finally:
            self._stage = ""
        if event is not None:
            self.emit(event)

    # --- opening --------------------------------------------------------------------------------

    def _start_opening(self, command: Open | ResumeRun) -> str:
        if self.run or self._opening:
            return "A session is open already."
        self._resume_command = command if isinstance(command, ResumeRun) else None
        self._opening = self._opening_stages(command)
        return ""

    def _opening_stages(self, command: Open | ResumeRun) -> Iterator[SessionContext | None]:
        """Import torch and open the session, yielding None after each stage but the last."""
        resumed: dict[str, Any] | None = None
        if isinstance(command, ResumeRun):
            config = config_to_resume(command)
            resumed = read_config(find_run(command.run))
        else:
            config = command.config
        if config.tensorboard:
            tensorboard.require()
        self.emit(LoadingProgressed(stage="torch", done=False))
        yield None
        seconds = torch_import.finish_importing()
        from engine.session.open import open_session, torch_versions

        detail = torch_versions()
        self.emit(LoadingProgressed(stage="torch", done=True, detail=detail, seconds=seconds))
        yield from open_session(config, self.emit, resumed=resumed)

    def _do_opening_stage(self) -> None:
        assert self._opening is not None
        try:
            context = next(self._opening)
        except Problem as problem:
            self._opening = None
            self.emit(OpenFailed(sentence=str(problem), choices=problem.choices))
            return
        if context is None:
            return
        from engine.session.run import Run

        self._opening = None
        emit = self.emit
        if context.config.tensorboard:
            self._tensorboard = board = tensorboard.TensorBoard(context.event)

            def emit(event: AnyEvent) -> None:
                board.write_event(event)
                self.emit(event)

        run = Run(context, emit, self.on_run_dir)
        resume_events: tuple[AnyEvent, ...] = ()
        if self._resume_command is not None:
            from engine.session import resume
            from engine.training import checkpoint

            command = self._resume_command
            try:
                saved = checkpoint.read(checkpoint_path(run.journal.path, command.checkpoint))
                resume_events = resume.resume_run(run, command, saved)
            except Problem as problem:
                context.decoder.close()
                self.emit(OpenFailed(sentence=str(problem)))
                return
        self.run = run
        self.emit(context.event)
        for event in resume_events:
            self.emit(event)

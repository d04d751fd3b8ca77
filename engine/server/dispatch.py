"""One session: it is opened, stage by stage, and then it is a run.

The server asks `work()` for one unit at a time and looks at the commands in between: a stage of
opening, a train step, a batch of the yardstick. So everything long can be paused and stopped.

torch is not imported by this module: the socket answers before it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

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
    Shutdown,
    TakeOver,
    WhenAlone,
)
from tl_tui.protocol.events import (
    AnyEvent,
    Confirmed,
    JobEnded,
    LoadingProgressed,
    OpenFailed,
    Refused,
    WorkKind,
)
from tl_tui.runs.run_reader import checkpoint_path, config_to_resume

if TYPE_CHECKING:
    from engine.session.context import SessionContext
    from engine.session.run import Run


class Dispatcher:
    """Opens, and then hands every command and every unit on to the run."""

    def __init__(
        self,
        emit: Callable[[AnyEvent], None],
        on_run_dir: Callable[[Path], None] = lambda _: None,
    ) -> None:
        """
        Args:
            emit: Takes every event, in order.
            on_run_dir: Told the run directory when it has been made.
        """
        self.emit = emit
        self.on_run_dir = on_run_dir
        self.run: Run | None = None
        self._opening: Iterator[SessionContext | None] | None = None
        self._stage = ""
        self._board: tensorboard.TensorBoard | None = None
        self._resumes: ResumeRun | None = None
        self._errand: Iterator[AnyEvent | None] | None = None

    @property
    def busy(self) -> str:
        """What the unit that runs is, in words; empty between units."""
        return self.run.busy if self.run else self._stage

    @property
    def work_kind(self) -> WorkKind:
        """Whether the current unit of work is a train step."""
        return self.run.work_kind if self.run else "other"

    def handle(self, command: AnyCommand) -> None:
        """Do a command or note it for `work()`; answers with one Confirmed or Refused."""
        if isinstance(command, (Hello, WhenAlone, TakeOver, Shutdown)):
            return  # the server's own
        if isinstance(command, (Open, ResumeRun)):
            refusal = self._open(command)
        elif isinstance(command, Job):
            refusal = self._begin_errand(command)
        elif self.run is None:
            refusal = "The session is not open yet."
        else:
            refusal = self.run.handle(command)
        if refusal:
            self.emit(Refused(id=command.id, reason=refusal))
        else:
            self.emit(Confirmed(id=command.id))

    def work(self) -> bool:
        """Do one unit of work; False if there is nothing to do."""
        if self._errand is not None:
            self._do_errand()
            return True
        if self.run is not None:
            return self.run.work()
        if self._opening is None:
            return False
        self._stage = "opening"
        try:
            self._open_further()
        finally:
            self._stage = ""
        return True

    def close(self) -> None:
        """Save what was trained, flush the journal and end what runs beside."""
        if isinstance(self._errand, Generator):
            self._errand.close()  # it takes away what it has half written
        if self.run is not None:
            self.run.close()
        if self._board is not None:
            self._board.close()

    def _emit(self, event: AnyEvent) -> None:
        if self._board is not None:
            self._board.heard(event)
        self.emit(event)

    # --- errands --------------------------------------------------------------------------------

    def _begin_errand(self, command: Job) -> str:
        if self._errand is not None:
            return "Another errand is being done."
        self._errand = jobs.start_job(command)
        return ""

    def _do_errand(self) -> None:
        assert self._errand is not None
        self._stage = "errand"
        try:
            event = next(self._errand)
        except StopIteration:
            event, self._errand = JobEnded(), None
        except Problem as problem:
            event, self._errand = JobEnded(failure=str(problem)), None
        finally:
            self._stage = ""
        if event is not None:
            self.emit(event)

    # --- opening --------------------------------------------------------------------------------

    def _open(self, command: Open | ResumeRun) -> str:
        if self.run or self._opening:
            return "A session is open already."
        self._resumes = command if isinstance(command, ResumeRun) else None
        self._opening = self._stages(command)
        return ""

    def _stages(self, command: Open | ResumeRun) -> Iterator[SessionContext | None]:
        """The stages of opening; the import of torch is the first."""
        resumes = isinstance(command, ResumeRun)
        config = config_to_resume(command) if isinstance(command, ResumeRun) else command.config
        if config.tensorboard:
            tensorboard.require()
        self.emit(LoadingProgressed(stage="torch", done=False))
        yield None
        seconds = torch_import.finish_importing()
        from engine.session.open import open_session, torch_versions

        detail = torch_versions()
        self.emit(LoadingProgressed(stage="torch", done=True, detail=detail, seconds=seconds))
        yield from open_session(config, self.emit, goes_on=resumes)

    def _open_further(self) -> None:
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
        if context.config.tensorboard:
            self._board = tensorboard.TensorBoard(context.event)
        run = Run(context, self._emit, self.on_run_dir)
        told: tuple[AnyEvent, ...] = ()
        if self._resumes is not None:
            from engine.session import resume
            from engine.training import checkpoint

            try:
                saved = checkpoint.read(checkpoint_path(run.journal.path, self._resumes.checkpoint))
                told = resume.resume_run(run, self._resumes, saved)
            except Problem as problem:
                context.decoder.close()
                self.emit(OpenFailed(sentence=str(problem)))
                return
        self.run = run
        self.emit(context.event)
        for event in told:
            self.emit(event)

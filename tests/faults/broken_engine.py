"""A program: an engine whose gradients or memory fail as environment variables say.

`FAULT_NAN` is `STEP:OWNER`: from that step on, until `Audit` is asked for, the gradient of the
owner's first parameter is not finite. `FAULT_MEMORY` is a number of bytes: `Audit` puts a limit on
the address space that leaves so many (RLIMIT_AS), and the next `Audit` takes it away.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from engine.server import server
from engine.server.dispatch import Dispatcher
from tl_tui.protocol.commands import AnyCommand, Audit
from tl_tui.protocol.events import AnyEvent, Confirmed
from tl_tui.protocol.training import StepTaken


class BrokenSession(Dispatcher):
    def __init__(
        self, emit: Callable[[AnyEvent], None], on_run_dir: Callable[[Path], None]
    ) -> None:
        super().__init__(self._counted, on_run_dir)
        self._out = emit
        step, _, self._owner = os.environ.get("FAULT_NAN", "0:").partition(":")
        self._from = int(step) or None
        self._memory = int(os.environ.get("FAULT_MEMORY", "0"))
        self._taken = 0
        self._limited = self._hooked = False

    def _counted(self, event: AnyEvent) -> None:
        if isinstance(event, StepTaken):
            self._taken = event.step
        self._out(event)

    def handle(self, command: AnyCommand) -> None:
        if not isinstance(command, Audit):
            super().handle(command)
            return
        self._from = None
        if self._memory:
            self._limited = not self._limited
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            now = pages * os.sysconf("SC_PAGE_SIZE")
            soft = now + self._memory if self._limited else resource.RLIM_INFINITY
            resource.setrlimit(resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))
        self._out(Confirmed(id=command.id))

    def work(self) -> bool:
        if self.run is not None and not self._hooked and self._from is not None:
            self._hooked = True
            module = self.run.context.stack.model.get_submodule(self._owner)
            next(module.parameters(recurse=False)).register_hook(self._break)
        return super().work()

    def _break(self, gradient):  # type: ignore[no-untyped-def]
        broken = self._from is not None and self._taken + 1 >= self._from
        return gradient * float("nan") if broken else gradient


if __name__ == "__main__":
    server.main(sys.argv[1:], BrokenSession)

"""Suspending the app with Ctrl-Z, as every program of a shell can be, and continuing it with fg.

The engine is in a session of its own and is not stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import TypeVar

from textual.app import App, SuspendNotSupported

Result = TypeVar("Result")


class SuspendableApp(App[Result]):
    """An app that Ctrl-Z suspends; it restores the terminal, and the screen when it continues."""

    def follow_stop_signals(self) -> None:
        """Suspend the app also for SIGTSTP, and restore the screen after SIGSTOP and SIGCONT."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTSTP, self.action_suspend_process)
        loop.add_signal_handler(signal.SIGCONT, self._continued)

    def action_suspend_process(self) -> None:
        if not shell_waits():
            self.cannot_suspend()
            return
        with contextlib.suppress(SuspendNotSupported), self.suspend():
            stop_process_group()

    def cannot_suspend(self) -> None:
        """Report that no shell could continue the app."""
        self.bell()

    def _continued(self) -> None:
        """Set up the terminal again, which the shell has used since the process was stopped."""
        with contextlib.suppress(SuspendNotSupported), self.suspend():
            stop_in_background()


def stop_process_group() -> None:
    """Stop this process and those of its group, until the shell continues them with fg."""
    numbers = (signal.SIGTSTP, signal.SIGCONT)
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    try:
        os.killpg(os.getpgrp(), signal.SIGTSTP)
        stop_in_background()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def stop_in_background() -> None:
    """Stop this process as long as the shell continues it without the terminal, as bg does."""
    while os.tcgetpgrp(0) != os.getpgrp():
        os.kill(os.getpid(), signal.SIGSTOP)


def shell_waits() -> bool:
    """Return whether a parent with job control is there to continue this process group.

    The kernel does not stop a group without one, such as the command of `docker run -it`.
    """
    group, session, pid = os.getpgrp(), os.getsid(0), os.getppid()
    while pid > 0:
        try:
            if os.getpgid(pid) != group:
                return os.getsid(pid) == session
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        pid = int(status.rpartition(")")[2].split()[1])
    return False

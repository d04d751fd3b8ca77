"""Import torch and torchvision in a background thread.

The import takes seconds. The engine starts it before the first client connects and answers
commands in the meantime.
"""

from __future__ import annotations

import gc
import sys
import threading
import time


class _Import(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="import of torch", daemon=True)
        self.started = time.perf_counter()
        self.seconds = 0.0
        self.error: Exception | None = None

    def run(self) -> None:
        disable_gc = gc.isenabled() and "torch" not in sys.modules
        if disable_gc:
            gc.disable()  # collection would take a sixth of the time and find nothing
        try:
            import torch  # noqa: F401
            import torchvision  # noqa: F401
        except Exception as error:  # kept, because importing again raises a misleading error
            self.error = error
        finally:
            if disable_gc:
                gc.freeze()  # modules are permanent, so no later collection need scan them
                gc.enable()
            self.seconds = time.perf_counter() - self.started


_running: _Import | None = None
"""The thread that imports; None before the first `start_importing`."""


def start_importing() -> None:
    """Start the import in the background. Later calls do nothing."""
    global _running
    if _running is None:
        _running = _Import()
        _running.start()


def finish_importing() -> float:
    """Wait until torch and torchvision are imported.

    Returns:
        The duration of the import in seconds.

    Raises:
        Exception: The error that the import raised, such as a missing CUDA library.
    """
    start_importing()
    assert _running is not None
    _running.join()
    if _running.error is not None:
        raise _running.error
    return _running.seconds

"""The import of torch and torchvision, which takes seconds: begun before anybody asks for it.

While the engine waits for its client, the imports run in a thread of their own; commands are
taken and refused meanwhile.
"""

from __future__ import annotations

import gc
import sys
import threading
import time


class _Import(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="import of torch", daemon=True)
        self.began = time.perf_counter()
        self.seconds = 0.0
        self.error: Exception | None = None

    def run(self) -> None:
        collects = gc.isenabled() and "torch" not in sys.modules
        if collects:
            gc.disable()  # looking for garbage among what only grows takes a sixth of the time
        try:
            import torch  # noqa: F401
            import torchvision  # noqa: F401
        except Exception as error:  # kept: a second try of torch fails with another, misleading one
            self.error = error
        finally:
            if collects:
                gc.freeze()  # modules stay: no step is held up by going through them again
                gc.enable()
            self.seconds = time.perf_counter() - self.began


_running: _Import | None = None


def start_importing() -> None:
    """Begin in the background; once in a process."""
    global _running
    if _running is None:
        _running = _Import()
        _running.start()


def finish_importing() -> float:
    """Wait until both are imported; returns the seconds since it began.

    Raises:
        Exception: what the import itself raised, be it of a library that torch does not find.
    """
    start_importing()
    assert _running is not None
    _running.join()
    if _running.error is not None:
        raise _running.error
    return _running.seconds

"""The import of torch and torchvision, which takes seconds: begun before anybody asks for it.

While the engine waits for its client, the imports run in a thread of their own; commands are
taken and refused meanwhile.
"""

from __future__ import annotations

import threading
import time


class _Import(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="import of torch", daemon=True)
        self.began = time.perf_counter()
        self.seconds = 0.0

    def run(self) -> None:
        try:
            import torch  # noqa: F401
            import torchvision  # noqa: F401
        except Exception:
            return  # who needs them imports them again, and says what is wrong
        finally:
            self.seconds = time.perf_counter() - self.began


_running: _Import | None = None


def begin() -> None:
    """Begin in the background; once in a process."""
    global _running
    if _running is None:
        _running = _Import()
        _running.start()


def finish() -> float:
    """Wait until both are imported; returns the seconds since it began."""
    begin()
    assert _running is not None
    _running.join()
    return _running.seconds

"""Who may speak with an engine, how much at a time, and how fast.

The socket's folder is closed to others already (`socket_path`); the kernel's word on who connected
stands behind that, should the folder have been opened since.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time

import msgspec

from tl_tui.protocol.framing_reader import NotThisProtocol

MAX_COMMAND = 8 * 1024 * 1024
"""Bytes; the longest commands name files, tens of thousands of them fit."""
HELLO_S = 60.0
"""Seconds within which a client has to say who it is; an engine that loads can be deaf for some."""
MOST_CLIENTS = 32
BURST, A_SECOND = 500, 100
"""Commands that are taken at once, and then each second: many times what a held key sends."""


def is_same_user(writer: asyncio.StreamWriter) -> bool:
    """Whether the process at the other end runs as this user, or as root, who may do all."""
    end = writer.get_extra_info("socket")
    if end is None or not hasattr(socket, "SO_PEERCRED"):
        return True  # macOS: the folder alone
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid in (os.getuid(), 0)


def why_refused(error: Exception) -> str:
    """What was wrong with a message, in a sentence for who sent it."""
    if isinstance(error, NotThisProtocol):
        return f"This is no message of tl-tui: {error}."
    if isinstance(error, msgspec.ValidationError):
        return f"This is no command of this engine: {error}."
    return f"This is no message of tl-tui: {error}."


class RateLimit:
    """What one client may send: a burst, then so many a second; beyond, it is not read from."""

    def __init__(self, burst: int = BURST, a_second: int = A_SECOND) -> None:
        self._burst, self._a_second = burst, a_second
        self._left, self._seen = float(burst), time.monotonic()

    async def take(self) -> None:
        """Take one; waits until there is one."""
        while True:
            now = time.monotonic()
            gained = (now - self._seen) * self._a_second
            self._left, self._seen = min(self._burst, self._left + gained), now
            if self._left >= 1:
                self._left -= 1
                return
            await asyncio.sleep((1 - self._left) / self._a_second)

"""Limits on clients: who may connect, how large a message may be, and how many per second.

The directory of the socket is private to the user (`socket_path`). The kernel's record of the
connecting user is a second check, in case the permissions of that directory were loosened.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time

import msgspec

MAX_COMMAND = 8 * 1024 * 1024
"""The largest command, in bytes. The longest commands list files; tens of thousands fit."""
HELLO_TIMEOUT_S = 60.0
"""Seconds within which a client has to send `Hello`; an engine that loads may respond slowly."""
MAX_CLIENTS = 32
BURST, PER_SECOND = 500, 100
"""Commands accepted at once, and per second after that: far more than a held key sends."""


def is_same_user(writer: asyncio.StreamWriter) -> bool:
    """Return whether the connected process runs as this user or as root."""
    connection = writer.get_extra_info("socket")
    if connection is None or not hasattr(socket, "SO_PEERCRED"):
        return True  # macOS: the directory's permissions are the only check
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in (os.getuid(), 0)


def invalid_message_text(error: Exception) -> str:
    """Return a sentence for the sender of a message that could not be decoded."""
    if isinstance(error, msgspec.ValidationError):
        return f"This is not a command of this engine: {error}."
    return f"This is not a message of tl-tui: {error}."


class RateLimit:
    """A token bucket for the commands of one client: a burst, then a fixed rate."""

    def __init__(self, burst: int = BURST, per_second: int = PER_SECOND) -> None:
        self._burst, self._per_second = burst, per_second
        self._tokens, self._updated = float(burst), time.monotonic()

    async def acquire(self) -> None:
        """Consume a token, waiting if none is left."""
        while True:
            now = time.monotonic()
            gained = (now - self._updated) * self._per_second
            self._tokens, self._updated = min(self._burst, self._tokens + gained), now
            if self._tokens >= 1:
                self._tokens -= 1
                return
            await asyncio.sleep((1 - self._tokens) / self._per_second)

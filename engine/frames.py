"""Reading framed messages from a stream; `protocol.encode` writes them."""

from __future__ import annotations

import asyncio

from .protocol import MAX_MESSAGE


class NotThisProtocol(Exception):
    """What came is no message of this protocol; the text says what it looks like."""


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next message's bytes without the length; None at the end of the stream.

    Raises:
        NotThisProtocol: the length is beyond `MAX_MESSAGE`.
        ConnectionError: the stream broke.
    """
    try:
        prefix = await reader.readexactly(4)
        length = int.from_bytes(prefix, "big")
        if length > MAX_MESSAGE:
            raise NotThisProtocol(f"a message of {length:,} bytes was announced")
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        return None

"""Read framed messages from an asyncio stream."""

from __future__ import annotations

import asyncio

from tl_tui.protocol.framing import MAX_MESSAGE


class NotThisProtocol(Exception):
    """The peer sent something that is not a message of this protocol."""


async def read_frame(reader: asyncio.StreamReader, limit: int = MAX_MESSAGE) -> bytes | None:
    """Return the next message's bytes without the length; None at the end of the stream.

    Args:
        reader: The stream.
        limit: The largest message in bytes.

    Raises:
        NotThisProtocol: The length is above the limit; nothing of the message was read.
        ConnectionError: The stream broke.
    """
    try:
        prefix = await reader.readexactly(4)
        length = int.from_bytes(prefix, "big")
        if length > limit:
            raise NotThisProtocol(f"a message of {length:,} bytes was announced")
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        return None

"""Reading framed messages from a stream; `protocol.encode` writes them."""

from __future__ import annotations

import asyncio

from tl_tui.protocol.framing import MAX_MESSAGE


class NotThisProtocol(Exception):
    """What came is no message of this protocol; the text says what it looks like."""


async def read_frame(reader: asyncio.StreamReader, most: int = MAX_MESSAGE) -> bytes | None:
    """The next message's bytes without the length; None at the end of the stream.

    Args:
        reader: The stream.
        most: Bytes that a message may have.

    Raises:
        NotThisProtocol: the length is beyond that; nothing of the message was read.
        ConnectionError: the stream broke.
    """
    try:
        prefix = await reader.readexactly(4)
        length = int.from_bytes(prefix, "big")
        if length > most:
            raise NotThisProtocol(f"a message of {length:,} bytes was announced")
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        return None

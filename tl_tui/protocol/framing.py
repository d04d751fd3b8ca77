"""Encode and decode messages: a four-byte big-endian length, then a MessagePack map.

The map is tagged with the message's class name. MessagePack keeps NaN and infinities, which JSON
cannot express; for JSON text see `tl_tui.common.json_codec`.
"""

from __future__ import annotations

import msgspec

from tl_tui.protocol.commands import AnyCommand
from tl_tui.protocol.events import AnyEvent

MAX_MESSAGE = 64 * 1024 * 1024
"""The largest message in bytes; a longer length means that the peer speaks another protocol."""

_encoder = msgspec.msgpack.Encoder()
_command_decoder = msgspec.msgpack.Decoder(AnyCommand)
_event_decoder = msgspec.msgpack.Decoder(AnyEvent)


def encode(message: AnyCommand | AnyEvent) -> bytes:
    """Return the bytes of a message, length included."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


def decode_command(body: bytes) -> AnyCommand:
    """Return the command in a message's bytes without the length.

    Raises:
        msgspec.DecodeError: The bytes are not a command of this protocol.
    """
    try:
        return _command_decoder.decode(body)
    except (RecursionError, UnicodeDecodeError, OverflowError) as error:  # malicious bytes
        raise msgspec.DecodeError(str(error)) from error


def decode_event(body: bytes) -> AnyEvent:
    """Return the event in a message's bytes without the length.

    Raises:
        msgspec.DecodeError: The bytes are not an event of this protocol.
    """
    return _event_decoder.decode(body)

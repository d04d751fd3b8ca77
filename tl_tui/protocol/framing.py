"""Framing: a message is a MessagePack map tagged with its class name, behind its length.

The length is four bytes, big-endian. MessagePack keeps NaN and infinities, which JSON does not;
see `tl_tui.common.json_codec` for text.
"""

from __future__ import annotations

import msgspec

from tl_tui.protocol.commands import AnyCommand
from tl_tui.protocol.events import AnyEvent

MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes; a longer length prefix means that the peer does not speak this protocol."""

_encoder = msgspec.msgpack.Encoder()
_command_decoder = msgspec.msgpack.Decoder(AnyCommand)
_event_decoder = msgspec.msgpack.Decoder(AnyEvent)


def encode(message: AnyCommand | AnyEvent) -> bytes:
    """The message as it goes over the wire, length prefix included."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


def decode_command(body: bytes) -> AnyCommand:
    """A command from its bytes without the prefix.

    Raises:
        msgspec.DecodeError: the bytes are no command of this protocol.
    """
    try:
        return _command_decoder.decode(body)
    except (RecursionError, UnicodeDecodeError, OverflowError) as error:  # of a body made to hurt
        raise msgspec.DecodeError(str(error)) from error


def decode_event(body: bytes) -> AnyEvent:
    """An event from its bytes without the prefix.

    Raises:
        msgspec.DecodeError: the bytes are no event of this protocol.
    """
    return _event_decoder.decode(body)

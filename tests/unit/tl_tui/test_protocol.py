"""Messages survive encoding and decoding, and other bytes are refused."""

from __future__ import annotations

import asyncio
import typing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tl_tui.protocol.commands import AnyCommand, Hello, SetMask
from tl_tui.protocol.events import AnyEvent, Confirmed
from tl_tui.protocol.framing import MAX_MESSAGE, decode_command, decode_event, encode
from tl_tui.protocol.framing_reader import NotThisProtocol, read_frame

COMMANDS = typing.get_args(AnyCommand)
EVENTS = typing.get_args(AnyEvent)


def values(kind: object) -> st.SearchStrategy:
    """Return a strategy for the values of a type that messages use."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is int:
        return st.integers(-(2**63), 2**63 - 1)
    if kind is float:
        return st.floats(allow_nan=True, allow_infinity=True)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*[values(each) for each in arguments])
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=3)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if len(arguments) > 1:  # a union
        return st.one_of([values(each) for each in arguments])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind)
        fields = {name: values(hints[name]) for name in kind.__struct_fields__}
        if kind.__struct_config__.array_like:
            return st.tuples(*fields.values()).map(lambda given: kind(*given))
        return st.builds(kind, **fields)
    return st.from_type(typing.cast(type, kind))


def body(message: AnyCommand | AnyEvent) -> bytes:
    framed = encode(message)
    assert int.from_bytes(framed[:4], "big") == len(framed) - 4
    return framed[4:]


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_commands_survive(kind: type, data: st.DataObject) -> None:
    """Compared by `repr`, because NaN is not equal to itself."""
    message = data.draw(values(kind))
    assert repr(decode_command(body(message))) == repr(message)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_events_survive(kind: type, data: st.DataObject) -> None:
    message = data.draw(values(kind))
    assert repr(decode_event(body(message))) == repr(message)


def test_a_mask_of_a_large_model_stays_small() -> None:
    """ResNet-152 has 311 owners, and its mask is sent with every toggle."""
    assert len(encode(SetMask(id=1, trainable=tuple(range(311))))) < 1024


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(junk: bytes) -> None:
    """They raise only a DecodeError, unless they happen to be a command."""
    try:
        decode_command(junk)
    except msgspec.DecodeError:
        return
    assert isinstance(decode_command(junk), COMMANDS)


def test_an_event_is_not_a_command() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_command(body(Confirmed(id=1)))


@given(st.lists(st.integers(0, 100), max_size=8), st.integers(1, 7), st.integers(0, 3))
@settings(deadline=None)
def test_frames_are_read_however_the_bytes_arrive(ids: list[int], piece: int, missing: int) -> None:
    """In pieces of any size; an incomplete last message is the end of the stream."""
    stream = b"".join(encode(Hello(id=number)) for number in ids)
    cut = stream[: len(stream) - missing]

    async def read() -> list[int]:
        reader = asyncio.StreamReader()
        for start in range(0, len(cut), piece):
            reader.feed_data(cut[start : start + piece])
        reader.feed_eof()
        received = []
        while (frame := await read_frame(reader)) is not None:
            received.append(decode_command(frame).id)
        return received

    assert asyncio.run(read()) == (ids[:-1] if missing and ids else ids)


def test_a_length_above_the_limit_is_refused_at_once() -> None:
    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data((MAX_MESSAGE + 1).to_bytes(4, "big"))
        await read_frame(reader)

    with pytest.raises(NotThisProtocol, match="67,108,865 bytes"):
        asyncio.run(read())

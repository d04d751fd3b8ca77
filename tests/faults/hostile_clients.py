"""Bad clients of the engine's socket: garbage, floods, silence, other users."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec

from engine.server.rate_limits import MAX_COMMAND
from tests.faults.fault_table import SOON, Place, Skipped, fault
from tests.faults.not_finite import Talk
from tests.faults.storage import environment
from tl_tui.connect.client import EngineProcess
from tl_tui.protocol.commands import Hello, Pause, TakeOver
from tl_tui.protocol.events import Confirmed, Refused
from tl_tui.protocol.framing import decode_event, encode
from tl_tui.protocol.framing_reader import read_frame

SCRIPTED = [sys.executable, "-m", "tests.support.scripted_session"]
NOBODY = 65534


async def _attached(place: Place) -> tuple[EngineProcess, Talk, Path]:
    """Start an engine and connect a well-behaved client. Also return the socket's path."""
    with environment(TL_TUI_TMPDIR=str(place.folder)):
        engine = EngineProcess.start(SCRIPTED)
        talk = Talk(await engine.connect(timeout=SOON, lossless=True))
    await talk.until(Confirmed)
    return engine, talk, next(place.folder.rglob("*.sock"))


async def _still_there(talk: Talk) -> None:
    number = talk.send(Pause)
    while True:
        answer = await talk.until(Confirmed)
        if isinstance(answer, Confirmed) and answer.id == number:
            return


async def _leave(engine: EngineProcess, talk: Talk) -> None:
    await talk.connection.close()
    assert await engine.ended(SOON), "it ends with its last client"


def _garbage(place: Place) -> bytes:
    """Return a framed message that is no valid command: random, with a flipped bit, or cut off."""
    random = place.random
    whole = encode(Pause(id=7))[4:]
    bent = bytearray(whole)
    bent[random.randrange(len(bent))] ^= 1 << random.randrange(8)
    odd = msgspec.msgpack.encode({"type": random.choice(["Pause", "Open", "Nothing"]), "id": "x"})
    deep = b"\x91" * 100_000 + b"\x00"
    body = random.choice(
        [random.randbytes(random.randrange(1, 200)), bytes(bent), whole[:-1], odd, deep, b""]
    )
    return len(body).to_bytes(4, "big") + body


@fault("garbage in place of a command", full=200)
def garbage(place: Place) -> int:
    """Invalid commands are refused with a reason, and the client stays connected."""
    times = 20

    async def drive() -> None:
        engine, talk, path = await _attached(place)
        try:
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(encode(Hello(id=0)) + encode(TakeOver(id=1)))  # else its Pause is refused
            for number in range(1, times + 1):
                writer.write(_garbage(place))
                writer.write(encode(Pause(id=1000 + number)))
            answers: list[object] = []
            async with asyncio.timeout(SOON):
                while Confirmed(id=1000 + times) not in answers:
                    body = await read_frame(reader)
                    assert body is not None, answers[-3:]
                    answers.append(decode_event(body))
            refused = [answer for answer in answers if isinstance(answer, Refused)]
            assert all(one.reason.startswith("This is not a ") for one in refused if one.id == 0)
            talk.send(TakeOver)
            await _still_there(talk)
            writer.close()
            await _leave(engine, talk)
        finally:
            engine.kill()

    asyncio.run(drive())
    return times


@fault("oversized message, or another protocol", full=50)
def oversized(place: Place) -> int:
    async def drive() -> None:
        engine, talk, path = await _attached(place)
        try:
            for beginning in (
                (MAX_COMMAND + 1 + place.random.randrange(1 << 30)).to_bytes(4, "big"),
                b"GET / HTTP/1.1\r\n\r\n",
            ):
                for hello in (b"", encode(Hello(id=0))):
                    reader, writer = await asyncio.open_unix_connection(str(path))
                    writer.write(hello + beginning)
                    heard = []
                    async with asyncio.timeout(SOON):
                        while (body := await read_frame(reader)) is not None:
                            heard.append(decode_event(body))
                    writer.close()
                    last = heard[-1]
                    assert isinstance(last, Refused) and "was announced" in last.reason, heard
            await _still_there(talk)
            await _leave(engine, talk)
        finally:
            engine.kill()

    asyncio.run(drive())
    return 4


@fault("client that floods, client that is silent, client that does not read", full=10)
def floods_and_silence(place: Place) -> None:
    async def drive() -> None:
        engine, talk, path = await _attached(place)
        others = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        try:
            for other in others:
                other.setblocking(False)
                other.connect(str(path))
            silent, flood, deaf = others
            for chatty in (flood, deaf):
                chatty.sendall(encode(Hello(id=0)))
            message = encode(Pause(id=1))
            try:
                for _ in range(200_000):
                    flood.sendall(message)
            except BlockingIOError:
                pass  # the engine no longer reads from it
            else:
                raise AssertionError("every command of a flood was taken")
            await _still_there(talk)
            for other in others:
                other.close()
            await _leave(engine, talk)
        finally:
            for other in others:
                other.close()
            engine.kill()

    asyncio.run(drive())


@fault("another user's process at the socket", full=10)
def another_user(place: Place) -> None:
    """The folder's mode keeps other users out; if it is open, the engine refuses them."""
    if os.getuid() != 0:
        raise Skipped("becoming another user needs root")
    program = (
        f"import os, socket, sys; os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(30)\n"
        "try: s.connect(sys.argv[1])\n"
        "except PermissionError: print('kept out'); sys.exit()\n"
        "try: print(len(s.recv(100)))\n"
        "except ConnectionError: print(0)\n"
    )

    def visit(path: Path) -> str:
        command = [sys.executable, "-c", program, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    async def drive() -> None:
        engine, talk, path = await _attached(place)
        try:
            assert await asyncio.to_thread(visit, path) == "kept out"
            path.chmod(0o777)
            for folder in (path.parent, *path.parent.parents):
                if folder.stat().st_mode & 0o777 == 0o700:
                    folder.chmod(0o711)
            assert await asyncio.to_thread(visit, path) == "0", "not even a greeting"
            await _still_there(talk)
            await _leave(engine, talk)
        finally:
            engine.kill()

    asyncio.run(drive())

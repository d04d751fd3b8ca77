"""What is remembered between two starts of the app: preferences, and the last layer stacks.

Reading falls back to the defaults, and writing does nothing, if a file cannot be used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any, Literal

import msgspec
import platformdirs

from tl_tui import __version__
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.session import SessionOpened

DisconnectAction = Literal["go on", "pause"]
"""What a run does after its last client has disconnected."""


class Preferences(
    msgspec.Struct, frozen=True, rename={"on_disconnect": "alone", "quit_answer": "leave"}
):
    """The user's preferences, as `preferences.json` stores them."""

    theme: str = "terminal"
    on_disconnect: DisconnectAction = "go on"
    remote_commands: dict[str, str] = {}
    """The command that runs tl-tui on a server, by host, where the user has given it."""
    quit_answer: Literal["go on", "pause", "end"] = "go on"
    """The last answer to the question what the run does after the app has quit."""


def _preferences_file() -> Path:
    return platformdirs.user_config_path("tl-tui") / "preferences.json"


def load_preferences() -> Preferences:
    """Return the user's preferences, or the defaults."""
    try:
        return msgspec.json.decode(_preferences_file().read_bytes(), type=Preferences)
    except (OSError, msgspec.DecodeError):
        return Preferences()


def remember(**changed: Any) -> None:
    """Store some preferences and leave the others unchanged."""
    preferences = msgspec.structs.replace(load_preferences(), **changed)
    _write(_preferences_file(), msgspec.json.encode(preferences))


def _stack_file(config: RunConfig) -> Path:
    """Return the cache file for a configuration, named by arch, data, weights, mask and version."""
    data = os.path.realpath(config.data) if config.data else "demo"
    parts = "\n".join([__version__, data, config.weights, *(config.trainable or ())])
    key = hashlib.sha256(parts.encode()).hexdigest()[:12]
    return platformdirs.user_cache_path("tl-tui") / f"stack-{config.arch}-{key}.msgpack"


def load_stack(config: RunConfig) -> SessionOpened | None:
    """Return the session that was last opened with this configuration; None if there is none."""
    try:
        session = msgspec.msgpack.decode(_stack_file(config).read_bytes(), type=SessionOpened)
    except (OSError, msgspec.DecodeError, ValueError):
        return None
    if config.strategy in session.strategies and config.trainable is None:
        session = msgspec.structs.replace(session, trainable=session.strategies[config.strategy])
    return session


def save_stack(config: RunConfig, session: SessionOpened) -> None:
    """Store a session for `load_stack`, so that the next start shows its stack at once."""
    _write(_stack_file(config), msgspec.msgpack.encode(session))


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)

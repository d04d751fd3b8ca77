"""What is remembered between two starts: the theme, and the stack last seen.

Nothing here is needed: what cannot be read or written is left out without a word.
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

Alone = Literal["go on", "pause"]
"""What a run does whose last screen is gone."""


class Preferences(msgspec.Struct, frozen=True):
    theme: str = "terminal"
    alone: Alone = "go on"
    remote_commands: dict[str, str] = {}
    """What runs tl-tui on a server, by its host, where it was said."""
    leave: Literal["go on", "pause", "end"] = "go on"
    """The last answer to the question whether to leave it running."""


def _preferences_file() -> Path:
    return platformdirs.user_config_path("tl-tui") / "preferences.json"


def load_preferences() -> Preferences:
    """The user's preferences, or the defaults."""
    try:
        return msgspec.json.decode(_preferences_file().read_bytes(), type=Preferences)
    except (OSError, msgspec.DecodeError):
        return Preferences()


def remember(**changed: Any) -> None:
    """Remember these preferences; the others stay as they are."""
    preferences = msgspec.structs.replace(load_preferences(), **changed)
    _write(_preferences_file(), msgspec.json.encode(preferences))


def _stack_file(config: RunConfig) -> Path:
    """Where the stack of such a session is kept: by arch, data (its classes) and version."""
    data = os.path.realpath(config.data) if config.data else "demo"
    asked = "\n".join([__version__, data, config.weights, *(config.trainable or ())])
    key = hashlib.sha256(asked.encode()).hexdigest()[:12]
    return platformdirs.user_cache_path("tl-tui") / f"stack-{config.arch}-{key}.msgpack"


def load_stack(config: RunConfig) -> SessionOpened | None:
    """The session that was open last time with this configuration, if it is remembered."""
    try:
        session = msgspec.msgpack.decode(_stack_file(config).read_bytes(), type=SessionOpened)
    except (OSError, msgspec.DecodeError, ValueError):
        return None
    if config.strategy in session.strategies and config.trainable is None:
        session = msgspec.structs.replace(session, wanted=session.strategies[config.strategy])
    return session


def save_stack(config: RunConfig, session: SessionOpened) -> None:
    """Remember a session's stack for the next start."""
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

"""The connected clients of an engine, in order of arrival, and which one is in control."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from tl_tui.protocol.commands import AnyCommand, ShowImages, ShowResults
from tl_tui.protocol.events import ViewersChanged

READ_ONLY_COMMANDS = (ShowImages, ShowResults)
"""The commands that a client may send without being in control."""
ONLY_CLIENT = ViewersChanged(clients=1, in_control=True)
"""What a new client assumes until it receives a `ViewersChanged`."""

C = TypeVar("C")


class Clients(Generic[C]):
    """The clients in order of arrival. The engine executes the commands of the one in control.

    Not thread-safe: callers hold a lock.
    """

    def __init__(self) -> None:
        self._last_sent: dict[C, ViewersChanged] = {}
        """The last `ViewersChanged` sent to each client, in order of arrival."""
        self._in_control: C | None = None

    def __len__(self) -> int:
        return len(self._last_sent)

    def __iter__(self) -> Iterator[C]:
        return iter(self._last_sent)

    def add(self, client: C) -> None:
        """Add a client. The first one is in control."""
        self._last_sent[client] = ONLY_CLIENT
        if self._in_control is None:
            self._in_control = client

    def discard(self, client: C) -> None:
        """Remove a client. If it was in control, the longest-connected one takes over."""
        self._last_sent.pop(client, None)
        if client is self._in_control:
            self._in_control = next(iter(self._last_sent), None)

    def take_over(self, client: C) -> None:
        """Put this client in control."""
        if client in self._last_sent:
            self._in_control = client

    def refusal(self, client: C, command: AnyCommand) -> str:
        """Return why this client may not send a command; empty if it may."""
        if client is self._in_control or isinstance(command, READ_ONLY_COMMANDS):
            return ""
        return "Another screen steers this run; this one only watches."

    def take_changes(self) -> list[tuple[C, ViewersChanged]]:
        """Return the clients whose `ViewersChanged` differs from the last one they received.

        The caller sends these events: the next call compares with them.
        """
        changes = []
        for client, last_sent in self._last_sent.items():
            now = ViewersChanged(
                clients=len(self._last_sent), in_control=client is self._in_control
            )
            if now != last_sent:
                changes.append((client, now))
        self._last_sent.update(changes)
        return changes

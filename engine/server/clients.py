"""The clients of an engine, in the order they came, and which of them steers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from tl_tui.protocol.commands import AnyCommand, ShowImages, ShowResults
from tl_tui.protocol.events import ViewersChanged

LOOKS = (ShowImages, ShowResults)
"""What a client that only watches may ask for."""
ALONE = ViewersChanged(clients=1, in_control=True)

C = TypeVar("C")


class Clients(Generic[C]):
    """Not safe for threads: who uses it holds a lock."""

    def __init__(self) -> None:
        self._told: dict[C, ViewersChanged] = {}
        """What each was told last, in the order they came."""
        self._steers: C | None = None

    def __len__(self) -> int:
        return len(self._told)

    def __iter__(self) -> Iterator[C]:
        return iter(self._told)

    def add(self, client: C) -> None:
        """Take one in; the first of them steers."""
        self._told[client] = ALONE
        if self._steers is None:
            self._steers = client

    def discard(self, client: C) -> None:
        """One goes; if it steered, the one that was there longest does."""
        self._told.pop(client, None)
        if client is self._steers:
            self._steers = next(iter(self._told), None)

    def take_over(self, client: C) -> None:
        """This one steers from now on."""
        if client in self._told:
            self._steers = client

    def refusal(self, client: C, command: AnyCommand) -> str:
        """Why a command of this client is not done; empty if it is."""
        if client is self._steers or isinstance(command, LOOKS):
            return ""
        return "Another screen steers this run; this one only watches."

    def news(self) -> list[tuple[C, ViewersChanged]]:
        """Whom to tell what has changed for it."""
        found = []
        for client, told in self._told.items():
            now = ViewersChanged(clients=len(self._told), in_control=client is self._steers)
            if now != told:
                found.append((client, now))
        self._told.update(found)
        return found

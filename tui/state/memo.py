"""A value that is computed again only when what it depends on has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from tl_tui.protocol.layers import StackInfo

T = TypeVar("T")


class Memo(Generic[T]):
    """The last value of a computation over a whole stack: a thousand rows at every key are slow."""

    def __init__(self) -> None:
        self._stack: StackInfo | None = None
        self._key: object = None
        self._value: T | None = None

    def get(self, stack: StackInfo, key: object, compute: Callable[[], T]) -> T:
        """The value, the last one if this is the same stack (not only an equal one) and key.

        Args:
            stack: Compared by identity.
            key: Whatever else the value depends on, with an equality.
            compute: Makes it.
        """
        if self._value is None or stack is not self._stack or key != self._key:
            self._stack, self._key, self._value = stack, key, compute()
        return self._value

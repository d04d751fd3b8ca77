"""A cached value that is computed again only when its inputs have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from tl_tui.protocol.layers import StackInfo

T = TypeVar("T")


class Memo(Generic[T]):
    """The last value of a computation over a whole stack.

    A model may have a thousand rows, which are too many to go through at every key press.
    """

    def __init__(self) -> None:
        self._stack: StackInfo | None = None
        self._key: object = None
        self._value: T | None = None

    def get(self, stack: StackInfo, key: object, compute: Callable[[], T]) -> T:
        """Return the cached value if stack and key are the same as last time, else compute it.

        Args:
            stack: Compared by identity.
            key: Everything else that the value depends on; compared by equality.
            compute: Computes the value.
        """
        if self._value is None or stack is not self._stack or key != self._key:
            self._stack, self._key, self._value = stack, key, compute()
        return self._value

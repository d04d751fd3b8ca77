"""Tasks that run between train steps, one unit at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class BackgroundTask:
    """A generator that does one unit of work per item.

    It restores whatever it changed when it is closed, so that it can be dropped after any unit.
    """

    name: str
    """What it does, as shown to the user while it runs: `evaluating`, `range test`."""
    units: Iterator[Any]
    idle: bool
    """Whether it runs only while the engine is idle; otherwise it runs before the next step of
    training."""
    exclusive: bool
    """Whether it needs the trainer for itself; a requested step drops it."""
    on_drop: Callable[[], None]
    """Called if the task is dropped before it is finished."""


class BackgroundTasks:
    """The queue of background tasks, in the order of their requests, with unique names."""

    def __init__(self) -> None:
        self._tasks: list[BackgroundTask] = []

    def add(
        self,
        name: str,
        units: Iterator[Any],
        *,
        idle: bool = False,
        exclusive: bool = False,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        """Add a task, replacing the one of the same name; see `BackgroundTask`."""
        self.drop(name)
        self._tasks.append(BackgroundTask(name, units, idle, exclusive, on_drop))

    def contains(self, name: str) -> bool:
        """Return whether a task of this name is running or waiting."""
        return any(task.name == name for task in self._tasks)

    def next(self, *, idle: bool) -> BackgroundTask | None:
        """Return the task whose unit is due; None if there is none.

        Args:
            idle: Whether the engine has nothing else to do.
        """
        prompt = [task for task in self._tasks if not task.idle]
        return next(iter(prompt or (self._tasks if idle else [])), None)

    def run_unit(self, task: BackgroundTask) -> None:
        """Run one unit of a task; a task that is finished or fails is removed."""
        end = object()
        try:
            if next(task.units, end) is not end:
                return
        except BaseException:
            self._remove(task)
            raise
        self._remove(task)

    def drop(self, *names: str) -> None:
        """Close and remove the tasks of these names."""
        self._drop([task for task in self._tasks if task.name in names])

    def drop_exclusive(self) -> None:
        """Close and remove the tasks that need the trainer for themselves."""
        self._drop([task for task in self._tasks if task.exclusive])

    def drop_all(self) -> None:
        """Close and remove all tasks."""
        self._drop(list(self._tasks))

    def _drop(self, tasks: list[BackgroundTask]) -> None:
        for task in tasks:
            close = getattr(task.units, "close", None)
            if close is not None:
                close()
            self._remove(task)
            task.on_drop()

    def _remove(self, task: BackgroundTask) -> None:
        self._tasks = [other for other in self._tasks if other is not task]

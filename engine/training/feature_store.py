"""Activations of many images at one cut: in memory up to a limit, then in a file.

A row an image. The file is read and written by position and never mapped, so that a truncated one
is an error and not a signal that kills the process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from engine.hardware.memory_limit import memory

SHARE = 4
"""Of the free memory a fourth may hold activations, if the user does not say."""


def memory_for_cache(device: torch.device, gib: float | None) -> int:
    """Bytes that activations may take on a device.

    Args:
        device: The model's.
        gib: What the user allowed, in GiB.
    """
    if gib is not None:
        return int(gib * 2**30)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // SHARE
    return memory().free // SHARE


class FeatureStore:
    """A growing table [images, *shape], of which the first rows are on the model's device."""

    def __init__(
        self,
        like: Tensor,
        *,
        rows: int,
        memory: int,
        file: Path | None,
        dtype: torch.dtype,
        no_file: str = "",
    ) -> None:
        """
        Args:
            like: One activation [*shape], on the device where they are used.
            rows: How many images there are at most.
            memory: Bytes that may be taken on that device.
            file: Where what does not fit goes. It loses its name as soon as it is open, so that
                nothing is left of it however this process ends; None if there is to be none.
            dtype: What they are kept in; they are given back as `like` is.
            no_file: Why there is to be none, in words.
        """
        self.shape, self.given, self.device = like.shape, like.dtype, like.device
        self.dtype, self.file, self._no_file = dtype, file, no_file
        self.row_bytes = like.numel() * dtype.itemsize
        fit = min(rows, memory // max(1, self.row_bytes))
        self._memory = torch.empty((fit, *like.shape), dtype=dtype, device=like.device)
        self._descriptor: int | None = None
        self.count = 0
        self.failure = ""
        """Why nothing more can be kept, in words; empty while there is room."""

    @property
    def reserved_bytes(self) -> int:
        """On the device, for what is there and for what is to come."""
        return len(self._memory) * self.row_bytes

    @property
    def memory_bytes(self) -> int:
        """Taken on the device."""
        return min(self.count, len(self._memory)) * self.row_bytes

    @property
    def file_bytes(self) -> int:
        return max(0, self.count - len(self._memory)) * self.row_bytes

    def add(self, activations: Tensor) -> list[int]:
        """Keep activations [N, *shape].

        Returns:
            The row of each; fewer than N once there is no room left, and `failure` says why.
        """
        values = activations.detach().to(self.dtype)
        fit = min(len(values), max(0, len(self._memory) - self.count))
        first = self.count
        if fit:
            self._memory[first : first + fit].copy_(values[:fit])
            self.count += fit
        for value in values[fit:]:
            if self.failure or not self._write(value):
                break
            self.count += 1
        return list(range(first, self.count))

    def get(self, rows: Sequence[int]) -> Tensor:
        """The activations of these rows, [N, *shape], as the model makes them.

        Raises:
            OSError: the file cannot be read, or not as far.
        """
        inside = len(self._memory)
        if all(row < inside for row in rows):
            index = torch.tensor(rows, dtype=torch.int64, device=self.device)
            return self._memory.index_select(0, index).to(self.given)
        values = [self._memory[row] if row < inside else self._read(row) for row in rows]
        return torch.stack(values).to(self.given)

    def close(self) -> None:
        """Give everything back, the file with it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._memory = self._memory[:0].clone()
        self.count = 0

    def _write(self, value: Tensor) -> bool:
        if self.file is None:
            self.failure = self._no_file
            return False
        raw = value.cpu().contiguous().view(torch.uint8).numpy().tobytes()
        try:
            if self._descriptor is None:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                self._descriptor = os.open(self.file, flags, 0o600)
                self.file.unlink()
            at = (self.count - len(self._memory)) * self.row_bytes
            if os.pwrite(self._descriptor, raw, at) < len(raw):
                raise OSError("it was written in part only")
        except OSError as error:
            self.failure = f"{self.file}: {error.strerror or error}"
            return False
        return True

    def _read(self, row: int) -> Tensor:
        assert self._descriptor is not None
        at = (row - len(self._memory)) * self.row_bytes
        raw = bytearray(os.pread(self._descriptor, self.row_bytes, at))
        if len(raw) < self.row_bytes:
            raise OSError("it is shorter than it was")
        value = torch.frombuffer(raw, dtype=self.dtype).view(self.shape)
        return value.to(self.device)

"""Store the activations of many images at one cut, in memory up to a limit and then in a file.

The store is a table with one row per image. The file is read and written by position and never
mapped: reading a truncated file raises an error, while a memory map would kill the process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from engine.hardware.memory_limit import memory

SHARE = 4
"""By default, one part in this many of the free memory may hold activations."""


def memory_for_cache(device: torch.device, gib: float | None) -> int:
    """Return the number of bytes that activations may use on a device.

    Args:
        device: The model's device.
        gib: The limit that the user set, in GiB; None for a fourth of the free memory.
    """
    if gib is not None:
        return int(gib * 2**30)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // SHARE
    return memory().free // SHARE


class FeatureStore:
    """A growing table [images, *shape] whose first rows are on the model's device."""

    def __init__(
        self,
        like: Tensor,
        *,
        rows: int,
        memory: int,
        file: Path | None,
        dtype: torch.dtype,
        no_file_reason: str = "",
    ) -> None:
        """
        Args:
            like: One activation [*shape], on the model's device.
            rows: The largest number of images.
            memory: The number of bytes to use on the device at most.
            file: The file for rows that do not fit into memory. It is unlinked as soon as it is
                open, so that it disappears however the process ends. None for no file.
            dtype: The type to store activations in; `get` returns the type of `like`.
            no_file_reason: Why there is no file.
        """
        self.shape, self.output_dtype, self.device = like.shape, like.dtype, like.device
        self.dtype, self.file, self._no_file_reason = dtype, file, no_file_reason
        self.row_bytes = like.numel() * dtype.itemsize
        fit = min(rows, memory // max(1, self.row_bytes))
        self._memory = torch.empty((fit, *like.shape), dtype=dtype, device=like.device)
        self._descriptor: int | None = None
        self.count = 0
        """The number of rows stored."""
        self.failure = ""
        """Why no more rows can be stored; empty while there is room."""

    @property
    def reserved_bytes(self) -> int:
        """The number of bytes allocated on the device, including empty rows."""
        return len(self._memory) * self.row_bytes

    @property
    def memory_bytes(self) -> int:
        """The number of bytes stored on the device."""
        return min(self.count, len(self._memory)) * self.row_bytes

    @property
    def file_bytes(self) -> int:
        """The number of bytes stored in the file."""
        return max(0, self.count - len(self._memory)) * self.row_bytes

    def add(self, activations: Tensor) -> list[int]:
        """Store activations [N, *shape].

        Returns:
            The rows of the activations. If there is no room for all of them, the list is shorter
            than N and `failure` says why.
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
        """Return the activations of these rows, [N, *shape], in their original type.

        Raises:
            OSError: The file cannot be read, or is truncated.
        """
        in_memory = len(self._memory)
        if all(row < in_memory for row in rows):
            index = torch.tensor(rows, dtype=torch.int64, device=self.device)
            return self._memory.index_select(0, index).to(self.output_dtype)
        values = [self._memory[row] if row < in_memory else self._read(row) for row in rows]
        return torch.stack(values).to(self.output_dtype)

    def close(self) -> None:
        """Free the memory and the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._memory = self._memory[:0].clone()
        self.count = 0

    def _write(self, value: Tensor) -> bool:
        """Write the next row to the file; return whether that worked."""
        if self.file is None:
            self.failure = self._no_file_reason
            return False
        raw = value.cpu().contiguous().view(torch.uint8).numpy().tobytes()
        try:
            if self._descriptor is None:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                self._descriptor = os.open(self.file, flags, 0o600)
                self.file.unlink()
            offset = (self.count - len(self._memory)) * self.row_bytes
            if os.pwrite(self._descriptor, raw, offset) < len(raw):
                raise OSError("it was only partly written")
        except OSError as error:
            self.failure = f"{self.file}: {error.strerror or error}"
            return False
        return True

    def _read(self, row: int) -> Tensor:
        """Read a row from the file."""
        assert self._descriptor is not None
        offset = (row - len(self._memory)) * self.row_bytes
        raw = bytearray(os.pread(self._descriptor, self.row_bytes, offset))
        if len(raw) < self.row_bytes:
            raise OSError("it was truncated")
        value = torch.frombuffer(raw, dtype=self.dtype).view(self.shape)
        return value.to(self.device)

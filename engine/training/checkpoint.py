"""Checkpoints: one safetensors file each, whole or not there, and nothing pickled.

A file holds weights and buffers (`model/<name>`), optimizer state (`optimizer/<name>/<key>`) and
random state (`random/cpu`, `random/device`) under the model's own parameter names; its metadata is
one JSON object with everything else: position, mask, rates, classes, transform.

safetensors refuses tensors that are not contiguous, so each is stored contiguous and its memory
format noted in the metadata.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine.training.snapshot import Snapshot
from tl_tui.common import json_codec
from tl_tui.common.errors import Problem

FORMAT = 1
"""Version of the file's layout; in its metadata."""


class CheckpointProblem(Problem):
    """A checkpoint cannot be read or written; the text says why and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds."""

    snapshot: Snapshot
    about: dict[str, Any]
    """Position, recipe, mask names, classes, transform and all else, in plain types."""


def write(path: Path, snapshot: Snapshot, about: Mapping[str, Any]) -> None:
    """Write a checkpoint beside the one that is there, and then in its place.

    Args:
        path: The file; its folder is made.
        snapshot: Everything a step changes.
        about: Everything else, in plain types.

    Raises:
        CheckpointProblem: it cannot be written; the file that was there is still whole.
    """
    tensors: dict[str, Tensor] = {}
    formats: dict[str, str] = {}
    for name, tensor in snapshot.tensors.items():
        tensors[f"model/{name}"] = tensor
    for name, state in snapshot.optimizer_state.items():
        for key, tensor in state.items():
            tensors[f"optimizer/{name}/{key}"] = tensor
    tensors["random/cpu"] = snapshot.cpu_random
    if snapshot.device_random is not None:
        tensors["random/device"] = snapshot.device_random
    for name, tensor in tensors.items():
        if not tensor.is_contiguous():
            formats[name] = "channels_last"
            tensors[name] = tensor.contiguous()
    whole = {
        "format": FORMAT,
        "optimizer": snapshot.optimizer,
        "position": snapshot.position,
        "memory_formats": formats,
        **about,
    }
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, part, {"tl-tui": json_codec.dumps(whole)})
        part.chmod(0o666 & ~_umask())  # safetensors makes it for the owner alone
        _sync(part)
        os.replace(part, path)
        _sync(path.parent)
    except (OSError, SafetensorError, MemoryError) as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or str(error) or "no memory is left"
        before = "The checkpoint before is still there." if path.exists() else "None is there yet."
        raise CheckpointProblem(
            f"{path} cannot be written ({reason}); make room or choose another --run-dir. {before}"
        ) from error


def link(path: Path, name: str) -> Path:
    """Give a checkpoint a second name in its folder, without writing it again.

    Returns:
        The other file. A file system without hard links gets a copy.

    Raises:
        CheckpointProblem: it cannot be written.
    """
    other = path.with_name(name)
    part = other.with_name(f"{name}.part")
    part.unlink(missing_ok=True)
    try:
        try:
            os.link(path, part)
        except OSError:
            part.write_bytes(path.read_bytes())
        os.replace(part, other)
        _sync(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise CheckpointProblem(
            f"{other} cannot be written ({error.strerror or error})."
        ) from error
    return other


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointProblem: missing, truncated, no checkpoint, or of a later version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("tl-tui")
            if text is None:
                raise CheckpointProblem(f"{path} is no checkpoint of tl-tui.")
            about = msgspec.json.decode(text)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointProblem(f"{path} cannot be read as a checkpoint ({error}).") from error
    if about["format"] > FORMAT:
        raise CheckpointProblem(
            f"{path} was written by a later tl-tui (format {about['format']}, here {FORMAT}); "
            "install that version."
        )
    for name in about["memory_formats"]:
        tensors[name] = tensors[name].to(memory_format=torch.channels_last)
    optimizer: dict[str, dict[str, Tensor]] = {}
    model: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition("/")
        if kind == "model":
            model[rest] = tensor
        elif kind == "optimizer":
            parameter, _, key = rest.rpartition("/")
            optimizer.setdefault(parameter, {})[key] = tensor
    snapshot = Snapshot(
        tensors=model,
        optimizer=about["optimizer"],
        optimizer_state=optimizer,
        cpu_random=tensors["random/cpu"],
        device_random=tensors.get("random/device"),
        position=about["position"],
        applied=frozenset(about.get("applied", ())),
    )
    return Checkpoint(snapshot, about)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    """Onto the disk: a file, or a folder, for the rename itself must survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

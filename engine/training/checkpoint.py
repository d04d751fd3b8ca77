"""Write and read checkpoints. Each is one safetensors file, written atomically, without pickle.

A file holds weights and buffers (`model/<name>`), optimizer state (`optimizer/<name>/<key>`) and
random state (`random/cpu`, `random/device`). Names are those of the model's parameters. The
metadata is one JSON object with everything else: position, mask, learning rates, classes and
transform.

safetensors refuses tensors that are not contiguous. Such tensors are stored contiguous, and the
metadata records their memory format.
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

from engine.data.batch_order import Cursor
from engine.training.snapshot import Snapshot
from tl_tui.common import json_codec
from tl_tui.common.errors import Problem, write_remedy

FORMAT = 1
"""The version of the file format, stored in the metadata."""


class CheckpointProblem(Problem):
    """A checkpoint cannot be read or written. The message says why and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file."""

    snapshot: Snapshot
    """The state that training changes."""
    about: dict[str, Any]
    """The metadata: position, recipe, mask, classes, transform and so on, in plain types."""


def write(path: Path, snapshot: Snapshot, about: Mapping[str, Any]) -> None:
    """Write a checkpoint to a temporary file and replace the previous one with it.

    Args:
        path: The file. Its folder is created if necessary.
        snapshot: The state that training changes.
        about: The metadata, in plain types.

    Raises:
        CheckpointProblem: The file cannot be written. The previous checkpoint is unchanged.
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
    metadata = {
        "format": FORMAT,
        "optimizer": snapshot.optimizer,
        "cursor": list(snapshot.cursor),
        "memory_formats": formats,
        **about,
    }
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, part, {"tl-tui": json_codec.dumps(metadata)})
        part.chmod(0o666 & ~_umask())  # safetensors lets only the owner read the file
        _sync(part)
        os.replace(part, path)
        _sync(path.parent)
    except (OSError, SafetensorError, MemoryError) as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or str(error) or "out of memory"
        previous = (
            "The previous checkpoint still exists."
            if path.exists()
            else "There is no earlier checkpoint."
        )
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        remedy = write_remedy(error, path.parent, size)
        raise CheckpointProblem(
            f"{path} cannot be written ({reason}); {remedy}. {previous}"
        ) from error


def link(path: Path, name: str) -> Path:
    """Give a checkpoint a second name in its folder, as a hard link.

    On a file system without hard links, the file is copied.

    Returns:
        The path of the second name.

    Raises:
        CheckpointProblem: The link cannot be created.
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
        CheckpointProblem: The file is missing, truncated, not a checkpoint, or written by a later
            version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("tl-tui")
            if text is None:
                raise CheckpointProblem(f"{path} is not a checkpoint of tl-tui.")
            about = msgspec.json.decode(text)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        names = sorted(file.stem for file in path.parent.glob("*.safetensors") if file != path)
        others = " or ".join(f"--checkpoint {name}" for name in names)
        raise CheckpointProblem(
            f"{path} cannot be read as a checkpoint ({error}); "
            f"{f'try {others}' if names else 'copy it again, or begin a new run'}."
        ) from error
    if about["format"] > FORMAT:
        raise CheckpointProblem(
            f"{path} was written by a later version of tl-tui (format {about['format']}; this "
            f"version reads up to {FORMAT}). Install that version."
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
        cursor=Cursor(*about.get("cursor", (0, 0))),  # see `resume` for checkpoints without it
        applied=frozenset(about.get("applied", ())),
    )
    return Checkpoint(snapshot, about)


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    """Flush a file to the disk, or a folder, so that a rename in it survives a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

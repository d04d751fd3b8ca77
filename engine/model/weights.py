"""Choose the weights that a model starts from: a torchvision entry, a file, the demo, or none."""

from __future__ import annotations

import difflib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torchvision
from torch import Tensor
from torchvision.models import WeightsEnum

from engine.model import demo_weights, weights_download
from engine.model.architectures import (
    COUNTERS,
    ModelProblem,
    body_shapes,
    check_arch,
    find_head,
    outline,
)


class WeightsMissing(ModelProblem):
    """The weights are not in the cache and cannot be downloaded; the user must choose others."""

    def __init__(self, sentence: str, short: str, cause: str, choices: tuple[str, ...]) -> None:
        """
        Args:
            sentence: What is missing, where to put it and what else can be done.
            short: The same as a short reason, for use if the run starts from other weights.
            cause: Why the download failed, in a few words.
            choices: The values of `--weights` that would work.
        """
        super().__init__(sentence)
        self.short = short
        self.cause = cause
        self.choices = choices


@dataclass
class Weights:
    """The weights that a model starts from."""

    label: str
    """The name, such as `ImageNet V1`, `random` or `file backbone.pth`."""
    why: str
    """Why they are used instead of the default weights; empty if they are what was requested."""
    entry: WeightsEnum | None
    """The torchvision entry, for its transforms; None for other weights."""
    state: dict[str, Tensor] | None
    """The state dict; None for random weights."""
    transforms: partial | None = None
    """Makes the transform of weights that have their own but no torchvision entry."""
    cause: str = ""
    """Why the requested weights could not be downloaded, in a few words."""

    @property
    def pretrained(self) -> bool:
        """Whether the weights are anything other than random."""
        return self.state is not None


def choose_weights(
    arch: str,
    requested: str,
    *,
    embedded_demo: bool,
    progress: Callable[[str], None] = lambda _: None,
) -> Weights:
    """Return the weights to start from.

    Args:
        arch: A torchvision classification model.
        requested: `auto`, `default`, `demo`, `none`, the name of a torchvision entry, or a file.
        embedded_demo: Whether the data is the embedded demo. Only then does `auto` fall back to the
            demo backbone, if it has this architecture, and else to random weights.
        progress: Called with a short text about the progress of a download.

    Raises:
        WeightsMissing: The weights are not in the cache and cannot be downloaded.
        ModelProblem: There is no such model, entry or file; or the file is damaged, holds no
            weights, or holds those of another architecture.
    """
    check_arch(arch)
    if requested == "none":
        return Weights("random", "", None, None)
    if requested == "demo":
        return _demo(arch)
    entries = torchvision.models.get_model_weights(arch)
    names = [entry.name for entry in entries]
    if requested in ("auto", "default"):
        try:
            return _from_torchvision(arch, entries["DEFAULT"], progress)
        except WeightsMissing as missing:
            if requested == "auto" and embedded_demo:
                if demo_weights.fits_demo_weights(arch):
                    return _demo(arch, missing.short, missing.cause)
                return Weights("random", missing.short, None, None, cause=missing.cause)
            raise
    if requested in names or requested.upper() in names:
        return _from_torchvision(arch, entries[requested.upper()], progress)
    path = Path(requested)
    if path.exists() or path.suffix in (".pth", ".pt", ".safetensors", ".bin"):
        return _from_file(arch, path)
    similar = difflib.get_close_matches(requested.upper(), names, n=2, cutoff=0.4)
    hint = f"did you mean {' or '.join(similar)}?" if similar else f"{arch} has {', '.join(names)}."
    raise ModelProblem(
        f"--weights {requested}: neither a file nor a weights entry of {arch}; {hint}"
    )


def _demo(arch: str, why: str = "", cause: str = "") -> Weights:
    """Return the demo backbone.

    Args:
        arch: The architecture of the model.
        why: Why the demo backbone is used, if it was not requested.
        cause: Why the requested weights could not be downloaded, in a few words.
    """
    if arch != demo_weights.ARCH:
        raise ModelProblem(
            f"--weights demo: the demo backbone is a {demo_weights.ARCH} and cannot be used for "
            f"{arch}; use --weights none, default, or a file."
        )
    path = demo_weights.demo_weights_path()
    if not path.is_file():
        raise ModelProblem(
            f"--weights demo: this installation has no demo weights ({path.name} is missing); use "
            "--weights none, default, or a file."
        )
    state = _read_state(path)
    transforms = demo_weights.demo_transforms(path)
    return Weights(demo_weights.LABEL, why, None, state, transforms, cause)


def _from_torchvision(arch: str, entry: WeightsEnum, progress: Callable[[str], None]) -> Weights:
    """Return a torchvision entry, from the cache or downloaded."""
    file = weights_download.weights_file_of(entry)
    path = weights_download.cached_path(file.name)
    if not path.exists():
        try:
            weights_download.download(file, limit_s=DOWNLOAD_SECONDS, progress=progress)
        except weights_download.DownloadFailed as error:
            choices = ("demo", "none") if demo_weights.fits_demo_weights(arch) else ("none",)
            options = ", ".join(f"--weights {choice}" for choice in choices)
            raise WeightsMissing(
                f"The weights {entry.name} ({file.name}) are not in {path.parent} and cannot be "
                f"downloaded: {error}. Put the file there, or use {options}, or a file.",
                f"no ImageNet weights: {file.name} is not in {path.parent} and cannot be "
                f"downloaded ({error})",
                str(error),
                choices,
            ) from error
    if not weights_download.verify(path, file.hash_prefix):
        raise ModelProblem(
            f"{path} is damaged: its hash does not match its name. Remove it, or replace it with "
            "`tl-tui fetch`."
        )
    label = entry.name.replace("IMAGENET1K_", "ImageNet ")  # such as `ImageNet V1`
    return Weights(label, "", entry, _read_state(path))


def _from_file(arch: str, path: Path) -> Weights:
    """Return the weights in a file, which must fit the whole model except the head."""
    if not path.is_file():
        raise ModelProblem(f"--weights {path}: there is no such file.")
    state = _read_state(path)
    entries = list(torchvision.models.get_model_weights(arch))
    reference = outline(arch)
    head = find_head(reference)[0]
    shapes = body_shapes(reference, head)
    missing = [n for n in shapes if n not in state and not n.endswith(COUNTERS)]
    unexpected = [n for n in state if n not in shapes and not n.startswith(f"{head}.")]
    mismatched = [name for name in shapes if name in state and state[name].shape != shapes[name]]
    if missing or mismatched or unexpected:
        present = sum(name in state for name in shapes)
        example = (
            f"{missing[0]} is missing"
            if missing
            else f"{mismatched[0]} has another shape"
            if mismatched
            else f"{arch} has no {unexpected[0]}"
        )
        raise ModelProblem(
            f"--weights {path}: these are not the weights of {arch} ({present} of {len(shapes)} "
            f"tensors are present; {example}). Pass the --arch that they belong to."
        )
    return Weights(f"file {path.name}", "", entries[0] if entries else None, state)


def _read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a file without running code from it.

    Raises:
        ModelProblem: The file does not hold a state dict.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, pickle, zip and safetensors raise errors of many types
        if isinstance(error, pickle.UnpicklingError) and _would_run_code(str(error)):
            raise ModelProblem(
                f"--weights {path}: the file is refused, because it holds more than tensors and "
                "loading it would run code. Save only the state dict, preferably as .safetensors."
            ) from None
        raise ModelProblem(
            f"--weights {path}: the file cannot be read as weights (it is truncated or not a state "
            "dict); use a .pth or .safetensors file of tensors."
        ) from error
    for key in ("state_dict", "model"):
        inner = state.get(key) if isinstance(state, dict) else None
        if isinstance(inner, dict):
            state = inner
    if isinstance(state, dict) and "random/cpu" in state:  # a checkpoint of tl-tui
        state = {
            name.removeprefix("model/"): value
            for name, value in state.items()
            if name.startswith("model/")
        }
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelProblem(f"--weights {path}: the file does not hold a state dict of tensors.")
    return {name.removeprefix("module."): value for name, value in state.items()}


def _would_run_code(error: str) -> bool:
    """Return whether an error of torch names a callable that the pickle wanted to call."""
    return "unsupported GLOBAL" in error or "reduce for unrecognized function" in error


DOWNLOAD_SECONDS = 600.0
"""Time limit of a download; name look-ups ignore the timeout of the socket."""

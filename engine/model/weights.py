"""Choose the weights that a model starts from: a torchvision entry, a file, the demo, or none."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torchvision
from torch import Tensor
from torchvision.models import WeightsEnum

from engine.model import demo_weights, state_dicts, weights_download, weights_file
from engine.model.architectures import (
    ModelProblem,
    check_arch,
    find_head,
    outline,
)
from engine.model.unfit_weights import why_unfit
from engine.model.weights_file import ENDINGS, listed
from engine.model.weights_note import note


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
    note: str = ""
    """Which weights of a file were taken, and what was not used; empty if that is clear."""

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
        requested: `auto`, `default`, `demo`, `none`, the name of a torchvision entry, a file, or a
            folder with one.
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
    if path.exists() or path.suffix in ENDINGS:
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
    state, _ = _state_of(arch, path)
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
            f"`tl-tui fetch {arch} {entry.name}`."
        )
    label = entry.name.replace("IMAGENET1K_", "ImageNet ")  # such as `ImageNet V1`
    state, _ = _state_of(arch, path)
    return Weights(label, "", entry, state)


def _from_file(arch: str, path: Path) -> Weights:
    """Return the weights in a file, which must fit the whole model except the head."""
    file = weights_file.find_file(path)
    name = path.name if file == path else f"{path.resolve().name}/{file.relative_to(path)}"
    state, said = _state_of(arch, file)
    _check_finite(file, state)
    entries = list(torchvision.models.get_model_weights(arch))
    entry = entries[0] if entries else None
    return Weights(f"file {name}", "", entry, state, note=said)


def _state_of(arch: str, file: Path) -> tuple[dict[str, Tensor], str]:
    """Return the weights of an architecture's body in a file, and a note on where they are in it.

    Raises:
        ModelProblem: The file cannot be read, or does not hold these weights.
    """
    loaded = weights_file.read_file(file)
    model = outline(arch)
    fits = state_dicts.find_fits(loaded, model)
    if fits and fits[0].complete:
        return dict(fits[0].found), note(fits, file.name, find_head(model)[1])
    raise ModelProblem(f"--weights {file}: {why_unfit(arch, model, loaded, fits)}")


def _check_finite(file: Path, state: dict[str, Tensor]) -> None:
    """Raise a ModelProblem if a tensor holds NaN or infinity, which makes every loss NaN."""
    counts = {
        name: int((~torch.isfinite(tensor.float())).sum())
        for name, tensor in state.items()
        if tensor.is_floating_point()
    }
    bad = [name for name, count in counts.items() if count]
    if not bad:
        return
    first, *others = bad
    also = f", and so have {listed(others, 2)}" if others else ""
    raise ModelProblem(
        f"--weights {file}: {first} has {counts[first]:,} of {state[first].numel():,} values that "
        f"are not finite (NaN or infinite){also}. Pass another file, such as an earlier checkpoint "
        "of the training that wrote it."
    )


DOWNLOAD_SECONDS = 600.0
"""Time limit of a download; name look-ups ignore the timeout of the socket."""

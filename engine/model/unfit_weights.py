"""Say why what a file holds is not the weights of an architecture, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torchvision
from torch import Tensor, nn

from engine.model import state_dicts, weights_file
from engine.model.architectures import body_tensors, find_head, outline
from engine.model.state_dicts import Fit


def why_unfit(arch: str, model: nn.Module, loaded: object, fits: list[Fit]) -> str:
    """Return what is wrong with a file that does not hold the weights of an architecture.

    Args:
        arch: The architecture.
        model: The architecture with its shapes.
        loaded: What the file holds.
        fits: The best fit, if there is one.
    """
    contents = state_dicts.contents(loaded)
    if not any(state_dicts.containers(loaded)):
        return (
            f"the file does not hold a state dict of tensors, but {contents}. Save one with "
            f"{weights_file.SAVE_HINT}."
        )
    if quantised := state_dicts.quantised(loaded):
        return (
            f"these are the weights of a quantised model ({quantised}), which cannot be trained. "
            "Pass the weights from before the quantisation, in floating point."
        )
    body = body_tensors(model, find_head(model)[0])
    fit = fits[0] if fits else None
    if fit is None or len(fit.found) < min(len(body), len(fit.container.tensors)) / 2:
        fitting = len(fit.found) - len(fit.mismatched) if fit else 0
        count = f"only {fitting} of its {len(body)} tensors are"
        return (
            f"these are not the weights of {arch}, because "
            f"{count if fitting else f'none of its {len(body)} tensors is'} in the file. It holds "
            f"{contents}; pass weights of a torchvision model, with the --arch that they belong to."
        )
    others = (fit.mismatched or fit.unexpected) and _architecture_of(loaded, arch)
    if fit.mismatched and not others:
        return _why_mismatched(arch, body, fit)
    example = (
        f"{fit.missing[0]} is missing"
        if fit.missing
        else _shapes(fit.mismatched[0], arch, body, fit)
        if fit.mismatched
        else f"{arch} has no {fit.unexpected[0]}"
    )
    sentence = f"these are not the weights of {arch} ("
    sentence += f"{len(fit.found)} of {len(body)} tensors are present {fit.where}; {example})"
    if others:
        return f"{sentence}, but those of {others}; pass --arch {others}."
    advice = "a file with all of them" if fit.missing else f"weights of torchvision's {arch}"
    return f"{sentence}. The file holds {contents}; pass {advice}."


def _shapes(name: str, arch: str, body: Mapping[str, Tensor], fit: Fit) -> str:
    """Return the shape of a tensor in the file and the one that the architecture needs."""
    shape, needed = tuple(fit.found[name].shape), tuple(body[name].shape)
    return f"{fit.names[name]} has the shape {shape}, but {arch} needs {needed}"


def _why_mismatched(arch: str, body: Mapping[str, Tensor], fit: Fit) -> str:
    """Return what is wrong with tensors that have the right names, and what to do."""
    first, *others = sorted(
        fit.mismatched, key=lambda name: fit.found[name].shape == body[name].shape
    )
    tensor, name = fit.found[first], fit.names[first]
    also = f" ({len(others) + 1} of {_count(fit)} do not fit)" if others else ""
    if tensor.shape != body[first].shape:
        return f"{_shapes(first, arch, body, fit)}{also}. {_other_shape(arch, first, body, fit)}"
    if tensor.is_meta:
        return (
            f"{name} has a shape but no values, because it was saved on the meta device{also}. "
            "Load the weights where the file was made, and save them with "
            f"{weights_file.SAVE_HINT}."
        )
    if tensor.layout is not torch.strided:
        return (
            f"{name} is stored in the layout {tensor.layout}{also}. Convert it with "
            "`tensor.to_dense()` and save the state dict again."
        )
    if tensor.dtype == torch.bool or tensor.is_complex() or not body[first].is_floating_point():
        needs = "floating-point numbers" if body[first].is_floating_point() else "integers"
        return (
            f"{name} holds values of {tensor.dtype}, but {arch} needs {needs}{also}. Pass a file "
            f"of weights of torchvision's {arch}."
        )
    return (
        f"{name} holds integers ({tensor.dtype}), but {arch} needs floating-point numbers{also}. "
        "If the weights are quantised, convert them back to floating point with their scale, and "
        "save the state dict again."
    )


def _other_shape(arch: str, name: str, body: Mapping[str, Tensor], fit: Fit) -> str:
    """Return what follows from the shape of a tensor that has the right name."""
    found, needed = fit.found[name].shape, body[name].shape
    if len(found) == 5 and len(needed) == 4:
        return (
            "Weights of 3-D convolutions, for volumes or video, cannot be used for images; pass "
            f"weights of torchvision's {arch}."
        )
    images = len(found) == len(needed) == 4 and needed[1] == RGB
    if images and found[1] != RGB and found[2:] == needed[2:]:
        channels = "1 channel" if found[1] == 1 else f"{found[1]} channels"
        return (
            f"Weights for images with {channels} cannot be used for RGB images; pass weights that "
            "were trained on RGB images."
        )
    if name.endswith("pos_embedding") and len(found) == 3 and found[2] == needed[2]:
        return (
            f"The weights are for images of {found[1] - 1:,} patches, and torchvision's {arch} has "
            f"{needed[1] - 1:,}; pass weights for that image size."
        )
    return (
        f"The file's model differs from torchvision's {arch} there; pass weights of torchvision's "
        f"{arch}, or the --arch that these belong to."
    )


def _count(fit: Fit) -> str:
    return f"the {len(fit.found):,} tensors {fit.where}"


def _architecture_of(loaded: object, arch: str) -> str | None:
    """Return another architecture that a file's tensors fit, of the family of `arch`; else None."""
    family = next((names for names in _FAMILIES if arch.startswith(names)), ())
    for other in torchvision.models.list_models(torchvision.models):
        if other.startswith(family) and other != arch:
            fits = state_dicts.find_fits(loaded, outline(other))
            if fits and fits[0].complete:
                return other
    return None


_FAMILIES = (
    ("resnet", "resnext", "wide_resnet"),
    ("vit_",),
    ("densenet",),
    ("shufflenet",),
    ("vgg",),
    ("convnext",),
)
"""Families of architectures whose tensors share names, by the beginnings of their names."""
RGB = 3
"""The channels of the images that torchvision's models take."""

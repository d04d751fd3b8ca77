"""Build torchvision models from pretrained weights, with a new head.

The model is built with its weights, and its last linear layer is replaced by a new one with one
output per class. The weights are not loaded by torchvision, which unpickles any file in the cache
without checking its hash. Here the hash is checked, and only tensors are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.transforms._presets import ImageClassification

from engine.model.architectures import (
    COUNTERS,
    body_tensors,
    find_head,
    new_model,
    outline,
)
from engine.model.weights import Weights


@dataclass
class BuiltModel:
    """A model with its new head."""

    model: nn.Module
    head: nn.Linear
    head_name: str
    """The module path of the head."""


# --- weights ------------------------------------------------------------------------------------


# --- the model ----------------------------------------------------------------------------------


def build(
    arch: str, weights: Weights, *, num_classes: int, image_size: int | None, seed: int
) -> BuiltModel:
    """Build a model with its weights and a new head.

    Args:
        arch: A torchvision classification model.
        weights: The weights to start from.
        num_classes: The number of outputs of the new head.
        image_size: Side of the images in pixels. Only models with a fixed size (ViT) use it.
        seed: Random seed. It is set again before the head is made, so that the head does not
            depend on how the rest of the model was built.

    Raises:
        ModelProblem: The model has no linear head to replace.
    """
    torch.manual_seed(seed)
    if weights.state is None:
        model = new_model(arch, num_classes=1000, image_size=image_size)
    else:
        model = _build_from_state(arch, weights.state)
    name, old = find_head(model)
    torch.manual_seed(seed)
    head = nn.Linear(old.in_features, num_classes)
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, head)
    return BuiltModel(model, head, name)


def _build_from_state(arch: str, state: dict[str, Tensor]) -> nn.Module:
    """Build a model with a state dict.

    The model is initialised at random, which takes time, only if the state dict is incomplete. A
    missing head does not matter, because it will be replaced.
    """
    model = outline(arch)
    body = body_tensors(model, find_head(model)[0])
    persistent = model.state_dict()
    incomplete = any(
        (name not in state and not name.endswith(COUNTERS))
        or (name in state and state[name].shape != value.shape)
        for name, value in body.items()
    )
    if incomplete or any(name not in persistent for name, _ in model.named_buffers()):
        model = new_model(arch, num_classes=1000, image_size=None)
    elif any(parameter.is_meta for parameter in model.parameters()):
        model = model.to_empty(device="cpu")
        for name, value in model.named_buffers():
            if name not in state:
                value.zero_()
    _copy_matching(state, model)
    return model


def _copy_matching(state: dict[str, Tensor], model: nn.Module) -> None:
    """Copy the tensors whose name and shape match into the model."""
    own = model.state_dict()
    with torch.no_grad():
        for name, value in state.items():
            if name in own and own[name].shape == value.shape:
                own[name].copy_(value)  # also converts half precision


def transform_for(weights: Weights, image_size: int | None) -> tuple[partial, int]:
    """Return a function that builds the weights' transform for an image size, and that size.

    Args:
        weights: The weights. Without a transform of their own, ImageNet's normalisation is used.
        image_size: Side of the images in pixels; None for the size that the weights were made for.

    Returns:
        A function that builds the transform, and the side of its images in pixels.
    """
    make: partial = weights.transforms or (
        weights.entry.transforms if weights.entry else partial(ImageClassification, crop_size=224)
    )
    preset = make()
    crop = preset.crop_size[0]
    if image_size is None or image_size == crop:
        return make, crop
    # The resized image grows in proportion to the crop.
    resize = round(preset.resize_size[0] * image_size / crop)
    return partial(make, crop_size=image_size, resize_size=resize), image_size


def describe_transform(preset: ImageClassification) -> dict[str, object]:
    """Return the settings of a transform as plain types, for checkpoints and exports."""
    return {
        "resize_size": preset.resize_size[0],
        "crop_size": preset.crop_size[0],
        "interpolation": preset.interpolation.value,
        "antialias": preset.antialias,
        "mean": list(preset.mean),
        "std": list(preset.std),
    }

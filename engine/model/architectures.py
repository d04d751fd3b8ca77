"""torchvision architectures: which ones exist, how to construct them, and where their head is."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn

from engine.model import weights_download
from tl_tui.common.errors import Problem


class ModelProblem(Problem):
    """The model cannot be built as requested. The message says why and what to do."""


COUNTERS = "num_batches_tracked"
"""The BatchNorm buffer that files from before 2018 lack."""


def check_arch(arch: str) -> None:
    """Raise a ModelProblem if torchvision has no classification model of this name."""
    if message := weights_download.unknown_arch(arch):
        raise ModelProblem(f"--arch {message}")


def outline(arch: str) -> nn.Module:
    """Build a model for its names and shapes, on the meta device, which skips initialisation."""
    try:
        with torch.device("meta"):
            return new_model(arch, num_classes=1000, image_size=None)
    except NotImplementedError:  # RegNets compute their widths with tensors
        return new_model(arch, num_classes=1000, image_size=None)


def body_tensors(model: nn.Module, head: str) -> dict[str, Tensor]:
    """Return each parameter and buffer in the state dict, without the head."""
    return {
        name: value for name, value in model.state_dict().items() if not name.startswith(f"{head}.")
    }


def find_head(model: nn.Module) -> tuple[str, nn.Linear]:
    """Return the last linear layer with its module path, such as `fc` in ResNets."""
    linear = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    if not linear:
        raise ModelProblem(
            f"{type(model).__name__} has no linear head to replace; choose another --arch."
        )
    return linear[-1]


def new_model(arch: str, *, num_classes: int, image_size: int | None) -> nn.Module:
    """Construct a model with random weights; a ViT for images of one size."""
    options: dict[str, object] = {"num_classes": num_classes}
    if image_size is not None and fixed_image_size(arch):
        options["image_size"] = image_size
    if arch in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": True}
    return torchvision.models.get_model(arch, weights=None, **options)


def fixed_image_size(arch: str) -> bool:
    """Return whether the model accepts only the image size that it was built for, as ViT does."""
    return arch.startswith("vit_")

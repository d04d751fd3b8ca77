"""A frozen-backbone epoch of fastai or Lightning; runs in that library's environment.

    python -m benchmarks.peers.frozen_epoch fastai|lightning FOLDER BATCH SIZE

Images are loaded as in the library's documentation. Validation, progress bars and checkpoints are
off.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
import torchvision
from torchvision import transforms as T

from benchmarks.peers.turns import take_turns


def fastai_epoch(folder: str, batch: int, size: int) -> Callable[[], object]:
    from fastai.vision.all import (  # type: ignore[import-not-found]
        ImageDataLoaders,
        Resize,
        resnet18,
        vision_learner,
    )

    loaders = ImageDataLoaders.from_folder(
        folder, valid_pct=0.01, bs=batch, item_tfms=Resize(size), num_workers=0, device="cpu"
    )
    learner = vision_learner(loaders, resnet18, pretrained=False, normalize=True)
    learner.validate = lambda *_: None
    learner.freeze()

    def epoch() -> None:
        with learner.no_bar(), learner.no_logging():
            learner.fit(1)

    return epoch


def lightning_epoch(folder: str, batch: int, size: int) -> Callable[[], object]:
    import lightning as L  # type: ignore[import-not-found]

    class Frozen(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            whole = torchvision.models.resnet18()
            self.backbone = torch.nn.Sequential(*list(whole.children())[:-1], torch.nn.Flatten())
            self.backbone.requires_grad_(False)
            self.head = torch.nn.Linear(512, 2)

        def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
            images, labels = batch
            self.backbone.eval()
            with torch.no_grad():
                features = self.backbone(images)
            return F.cross_entropy(self.head(features), labels)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.head.parameters(), lr=1e-3, momentum=0.9)

    normal = T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    made = T.Compose([T.Resize(size), T.CenterCrop(size), T.ToTensor(), normal])
    images = torchvision.datasets.ImageFolder(folder, made)
    loader = torch.utils.data.DataLoader(images, batch_size=batch, shuffle=True)
    model = Frozen()

    def epoch() -> None:
        trainer = L.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(model, loader)

    return epoch


def main() -> None:
    kind, folder, batch, size = sys.argv[1:]
    make = {"fastai": fastai_epoch, "lightning": lightning_epoch}[kind]
    epoch = make(folder, int(batch), int(size))

    def measure() -> dict[str, float]:
        began = time.perf_counter()
        epoch()
        return {"seconds": time.perf_counter() - began}

    take_turns(measure)


if __name__ == "__main__":
    main()

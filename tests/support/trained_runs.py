"""Small finished runs for tests of jobs, and their models loaded without the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors import safe_open
from torch import nn

from engine.server.dispatch import Dispatcher
from tests.support.driven_session import DrivenSession
from tl_tui.common import json_codec
from tl_tui.protocol.commands import Job, Train
from tl_tui.protocol.events import AnyEvent, JobEnded

SMALL: dict[str, Any] = {
    "arch": "shufflenet_v2_x0_5",
    "weights": "none",
    "image_size": 32,
    "batch_size": 8,
    "device": "cpu",
}


def train_run(data: Path, run: Path, *, steps: int = 3, **config: Any) -> Path:
    """Train a run for a few steps in this process. Return its directory."""
    driven = DrivenSession(data=str(data), run_dir=str(run), **SMALL | config)
    driven.do(Train, steps=steps)
    driven.session.close()
    return run


def run_job(kind: type[Job], **fields: Any) -> tuple[list[AnyEvent], str]:
    """Run a job.

    Returns:
        The events between the confirmation and the end, and the reason of a failure.
    """
    events: list[AnyEvent] = []
    session = Dispatcher(events.append)
    session.handle(kind(id=1, **fields))
    while session.work():
        pass
    session.close()
    assert isinstance(events[-1], JobEnded)
    return events[1:-1], events[-1].failure


def plain_model(run: Path, checkpoint: str = "best") -> tuple[nn.Module, dict[str, Any]]:
    """Load a checkpoint with only torchvision and safetensors.

    Returns:
        The model in eval mode, and the checkpoint's metadata.
    """
    with safe_open(run / "checkpoints" / f"{checkpoint}.safetensors", framework="pt") as file:
        metadata = json_codec.loads(file.metadata()["tl-tui"])
        names = [name for name in file.keys() if name.startswith("model/")]  # noqa: SIM118
        state = {name.removeprefix("model/"): file.get_tensor(name) for name in names}
    model = torchvision.models.get_model(metadata["arch"], num_classes=len(metadata["classes"]))
    model.load_state_dict(state)
    return model.eval(), metadata


def plain_input(path: Path, transform: dict[str, Any]) -> torch.Tensor:
    """Load an image with torchvision's transforms. Return the input [3, size, size]."""
    from PIL import Image
    from torchvision import transforms as T

    preprocess = T.Compose(
        [
            T.Resize(transform["resize_size"], T.InterpolationMode(transform["interpolation"])),
            T.CenterCrop(transform["crop_size"]),
            T.ToTensor(),
            T.Normalize(transform["mean"], transform["std"]),
        ]
    )
    tensor: torch.Tensor = preprocess(Image.open(path).convert("RGB"))
    return tensor

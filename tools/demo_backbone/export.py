"""Export of a training checkpoint as the shipped weights file."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from tools.demo_backbone import distil, teacher

VERSION = "1"


def export(checkpoint: Path, out: Path, *, image_size: int) -> None:
    """Write the student's backbone, without its head, as half-precision safetensors.

    Args:
        checkpoint: The checkpoint of the training run.
        out: The file to write.
        image_size: The recommended image size in pixels; noted in the file's metadata.
    """
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    state = {
        # safetensors rejects channels-last tensors.
        name.removeprefix("net."): (
            value.half() if value.is_floating_point() else value
        ).contiguous()
        for name, value in saved["student"].items()
        if name.startswith("net.")
    }
    facts = {
        "arch": "resnet18",
        "image_size": str(image_size),
        "mean": json.dumps(distil.MEAN),
        "std": json.dumps(distil.STD),
        "version": VERSION,
        "licence": teacher.LICENCE,
        "made_by": "python -m tools.demo_backbone",
        "made_from": f"{teacher.NAME} ({', '.join(teacher.PACKAGES)}, {teacher.LICENCE}), "
        "distilled on crops of freely licensed pictures that packages ship",
        "views": str(saved["done"]),
    }
    save_file(state, out, metadata=facts)
    out.chmod(0o644)

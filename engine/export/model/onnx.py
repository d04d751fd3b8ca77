"""A model as an ONNX file. Needs the extra `onnx`; nothing of it is imported before it is used."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.export.model.card import metadata
from tl_tui.common.errors import Problem

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""torch's exporter needs the first two, and the file is run by the third to check it."""


def missing() -> str:
    """What is not installed and how to get it, in a sentence; empty if all is there."""
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not absent:
        return ""
    are = "is" if len(absent) == 1 else "are"
    return f"{' and '.join(absent)} {are} not installed; pip install 'tl-tui[onnx]'."


def write(file: Path, model: nn.Module, images: Tensor, about: dict[str, Any]) -> None:
    """Write a model whose batch is free, with its classes and preprocessing in the metadata.

    Args:
        file: The file.
        model: In eval mode, on the host.
        images: [N, 3, size, size]; N is at least 2, or the image is taken twice.
        about: What `model.json` says.

    Raises:
        Problem: torch's exporter cannot write this model.
    """
    # A batch of one would be taken for a constant.
    example = images[:2] if len(images) > 1 else images.repeat(2, 1, 1, 1)
    try:
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    except (torch.onnx.OnnxExporterError, ImportError) as error:
        traceback.print_exc()  # into the engine's log
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason")
        raise Problem(
            f"torch's exporter cannot write {about['arch']} as ONNX ({reason.strip()[:200]}); "
            "leave onnx out of --format."
        ) from error
    assert program is not None
    program.model.metadata_props.update(metadata(about))
    program.save(file, external_data=False)


def load(file: Path) -> Callable[[Tensor], Tensor]:
    """The file's own outputs, by onnxruntime on the CPU.

    Raises:
        Problem: onnxruntime does not load.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise Problem(f"onnxruntime does not load ({error}); install it anew.") from error
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def outputs(images: Tensor) -> Tensor:
        (said,) = session.run(["logits"], {"images": images.numpy()})
        return torch.from_numpy(said)

    return outputs

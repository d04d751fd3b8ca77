"""Writing a model as an ONNX file and running it. Needs the packages of the extra `onnx`."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.export.model.card import file_metadata
from tl_tui.common.errors import Problem

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""The first two are needed by torch's exporter, the third to run the file and check it."""


def missing() -> str:
    """Return a sentence that names the missing packages; empty if all are installed."""
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not absent:
        return ""
    are = "is" if len(absent) == 1 else "are"
    return f"{' and '.join(absent)} {are} not installed; pip install 'tl-tui[onnx]'."


def write(file: Path, model: nn.Module, images: Tensor, description: dict[str, Any]) -> None:
    """Write a model with a dynamic batch size; its metadata has the classes and preprocessing.

    Args:
        file: The file to write.
        model: The model in eval mode, on the CPU.
        images: Example images, [N, 3, size, size].
        description: The contents of `model.json`.

    Raises:
        Problem: torch's exporter cannot write this model.
    """
    # With a batch of one, the exporter would treat the batch size as a constant.
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
        traceback.print_exc()  # to the engine's log
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason")
        raise Problem(
            f"torch's exporter cannot write {description['arch']} as ONNX "
            f"({reason.strip()[:200]}); leave onnx out of --format."
        ) from error
    assert program is not None
    program.model.metadata_props.update(file_metadata(description))
    program.save(file, external_data=False)


def load(file: Path) -> Callable[[Tensor], Tensor]:
    """Load a file with onnxruntime.

    Returns:
        A function from images [N, 3, size, size] to logits [N, classes], on the CPU.

    Raises:
        Problem: onnxruntime cannot be imported.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise Problem(f"onnxruntime cannot be imported ({error}); reinstall it.") from error
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def outputs(images: Tensor) -> Tensor:
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        return torch.from_numpy(logits)

    return outputs

"""The description of an exported model: classes, preprocessing and how to load it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import torch
import torchvision

from engine.data.conversion.value_ranges import Ranges
from engine.export.preprocessing import HEIC, IMPORTS, conversion_code
from engine.jobs.load import TrainedModel
from engine.model import architectures
from tl_tui import __version__
from tl_tui.common import json_codec

MODEL_JSON, README = "model.json", "README.txt"


def describe_model(
    trained: TrainedModel, file_names: Sequence[str], compared_on: str
) -> dict[str, Any]:
    """Return the contents of `model.json`.

    Args:
        trained: The model.
        file_names: The names of the exported files.
        compared_on: A description of the images that the files were compared on.
    """
    metadata, arch, size = trained.metadata, trained.metadata["arch"], trained.image_size
    options: dict[str, Any] = {}
    if architectures.fixed_image_size(arch):
        options["image_size"] = size
    if arch in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": False}
    transform = metadata["transform"]
    return {
        "format": 1,
        "arch": arch,
        "options": options,
        "classes": list(trained.classes),
        "image_size": size,
        "preprocessing": {
            **transform,
            "steps": [
                *_decoding_steps(trained.ranges),
                f"resize the shorter side to {transform['resize_size']} pixels "
                f"({transform['interpolation']}"
                f"{', antialiased' if transform['antialias'] else ''})",
                f"crop the central {transform['crop_size']} x {transform['crop_size']} pixels",
                "divide by 255",
                "subtract mean and divide by std, for R, G and B",
            ],
        },
        "input": {"name": "images", "shape": ["batch", 3, size, size], "type": "float32"},
        "output": {"name": "logits", "shape": ["batch", len(trained.classes)], "softmax": False},
        "trained": {
            "run": trained.run.absolute().name,
            "checkpoint": trained.checkpoint.stem,
            "step": metadata["step"],
            "from": metadata["weights"],
        },
        "versions": {
            "tl_tui": __version__,
            "torch": str(torch.__version__),
            "torchvision": str(torchvision.__version__),
        },
        "compared_on": compared_on,
        "files": {name: {} for name in file_names},
    }


def _decoding_steps(ranges: Ranges) -> list[str]:
    steps = [
        f"scale the grey levels of {kind} images with more than 8 bits per pixel: {low} becomes 0 "
        f"and {high} becomes 255"
        + (" (then invert 16-bit TIFF files whose zero means white)" if kind == "integer" else "")
        for kind, (low, high) in ranges.items()
    ]
    return [
        *steps,
        "decode the first frame to 8-bit RGB, upright (EXIF orientation applied), with transparent "
        "pixels blended with white",
    ]


def file_metadata(description: dict[str, Any]) -> dict[str, str]:
    """Return the description as strings by name, to store in a file that may be used on its own."""
    kept = ("arch", "options", "classes", "image_size", "preprocessing", "output", "trained")
    values = {name: description[name] for name in (*kept, "temperature") if name in description}
    return {
        name: value if isinstance(value, str) else json_codec.dumps(value)
        for name, value in values.items()
    }


def _temperature_text(fitted: dict[str, Any]) -> str:
    """Return how to use a temperature, and whether it helps."""
    helps = fitted["nll_after"] < fitted["nll_before"]
    doubt = "" if helps else " It did not fall:\nuse the logits as they are."
    return f"""
{MODEL_JSON} also has a temperature for better calibrated probabilities. No file applies it, and it
does not change which class is the most probable. To use it, divide the logits by it:

    probabilities = (logits / {fitted["value"]:.4f}).softmax(1)

It was fitted on {fitted["images"]} validation images. On held-out folds of them, it changes the
mean negative log-likelihood from {fitted["nll_before"]:.4f} to {fitted["nll_after"]:.4f}.{doubt}
"""


def readme(description: dict[str, Any]) -> str:
    """Return the README, which says how to use the files without tl-tui."""
    files = description["files"]
    names = "\n".join(f"    {name}" for name in [*files, MODEL_JSON])
    text = f"""\
{description["arch"]} for {len(description["classes"])} classes, trained with tl-tui {__version__}.

{names}

{MODEL_JSON} has the classes in the order of the outputs, the preprocessing, and the largest
difference between the outputs of each file and those of the trained model
(compared on {description["compared_on"]}).
The outputs are logits. Apply a softmax to get probabilities.
"""
    if "temperature" in description:
        text += _temperature_text(description["temperature"])
    states = {
        "model.safetensors": (
            "from safetensors.torch import load_file",
            'load_file("model.safetensors")',
        ),
        "model.pth": ("import torch", 'torch.load("model.pth", weights_only=True)'),
    }
    for name, (import_line, read) in states.items():
        if name in files:
            text += f"""
{name}, with torchvision{" and safetensors" if "safetensors" in name else ""}:

    import json, torchvision
    {import_line}
    info = json.load(open("{MODEL_JSON}", encoding="utf-8"))
    model = torchvision.models.get_model(
        info["arch"], num_classes=len(info["classes"]), **info["options"])
    model.load_state_dict({read})
    model.eval()
"""
    if "model.onnx" in files:
        text += """
model.onnx, with onnxruntime, for a float32 array of images [N, 3, size, size]:

    import onnxruntime
    session = onnxruntime.InferenceSession("model.onnx")
    (logits,) = session.run(["logits"], {"images": images})
"""
    # Empty lines are indented too, so that the code is one block.
    code = textwrap.indent(_preprocessing(), "    ", lambda line: True)
    return f"{text}\nPreprocessing of an image:\n\n{code}"


def _preprocessing() -> str:
    """Return the code that prepares an image, without tl-tui."""
    imports = "\n".join(("import json", *IMPORTS, "from torchvision import transforms as T"))
    return f"""\
{imports}

{HEIC}

{conversion_code()}

p = json.load(open("{MODEL_JSON}", encoding="utf-8"))["preprocessing"]
transform = T.Compose([
    T.Resize(p["resize_size"], T.InterpolationMode(p["interpolation"]), antialias=p["antialias"]),
    T.CenterCrop(p["crop_size"]), T.ToTensor(), T.Normalize(p["mean"], p["std"])])
image = transform(to_rgb(Image.open("a.jpg"), p.get("ranges", {{}})))
"""

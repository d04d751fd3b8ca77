"""What stands beside an exported model: its classes, its preprocessing, how to load it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torchvision

from engine.jobs.load import TrainedModel
from engine.model import torchvision_models
from tl_tui import __version__
from tl_tui.common import json_codec

ABOUT, README = "model.json", "README.txt"


def described(trained: TrainedModel, names: Sequence[str], compared_on: str) -> dict[str, Any]:
    """What `model.json` says.

    Args:
        trained: The model.
        names: Of its files.
        compared_on: What the files were compared on, in words.
    """
    said, arch, size = trained.about, trained.about["arch"], trained.image_size
    options: dict[str, Any] = {}
    if torchvision_models.fixed_image_size(arch):
        options["image_size"] = size
    if arch in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": False}
    transform = said["transform"]
    return {
        "format": 1,
        "arch": arch,
        "options": options,
        "classes": list(trained.classes),
        "image_size": size,
        "preprocessing": {
            **transform,
            "steps": [
                "decode to 8-bit RGB, upright (EXIF orientation applied)",
                f"resize the shorter side to {transform['resize_size']} pixels "
                f"({transform['interpolation']}"
                f"{', antialiased' if transform['antialias'] else ''})",
                f"take the middle {transform['crop_size']} x {transform['crop_size']} pixels",
                "divide by 255",
                "subtract mean and divide by std, for R, G and B",
            ],
        },
        "input": {"name": "images", "shape": ["batch", 3, size, size], "type": "float32"},
        "output": {"name": "logits", "shape": ["batch", len(trained.classes)], "softmax": False},
        "trained": {
            "run": trained.run.absolute().name,
            "checkpoint": trained.checkpoint.stem,
            "step": said["step"],
            "from": said["weights"],
        },
        "versions": {
            "tl_tui": __version__,
            "torch": str(torch.__version__),
            "torchvision": str(torchvision.__version__),
        },
        "compared_on": compared_on,
        "files": {name: {} for name in names},
    }


def metadata(about: dict[str, Any]) -> dict[str, str]:
    """The same as texts by name, for the metadata of a file that goes without its neighbours."""
    kept = ("arch", "options", "classes", "image_size", "preprocessing", "output", "trained")
    texts = {name: about[name] for name in kept}
    return {
        name: value if isinstance(value, str) else json_codec.dumps(value)
        for name, value in texts.items()
    }


def readme(about: dict[str, Any]) -> str:
    """How to use the files, without tl-tui."""
    files = about["files"]
    names = "\n".join(f"    {name}" for name in [*files, ABOUT])
    text = f"""\
{about["arch"]} for {len(about["classes"])} classes, trained with tl-tui {__version__}.

{names}

{ABOUT} has the classes in the order of the outputs, the preprocessing, and how far the outputs
of each file were from the trained model's when it was loaded again ({about["compared_on"]}).
The outputs are logits: softmax makes probabilities of them.
"""
    states = {
        "model.safetensors": (
            "from safetensors.torch import load_file",
            'load_file("model.safetensors")',
        ),
        "model.pth": ("import torch", 'torch.load("model.pth", weights_only=True)'),
    }
    for name, (needs, read) in states.items():
        if name in files:
            text += f"""
{name}, with torchvision alone{" and safetensors" if "safetensors" in name else ""}:

    import json, torchvision
    {needs}
    about = json.load(open("{ABOUT}", encoding="utf-8"))
    model = torchvision.models.get_model(
        about["arch"], num_classes=len(about["classes"]), **about["options"])
    model.load_state_dict({read})
    model.eval()
"""
    if "model.onnx" in files:
        text += """
model.onnx, with onnxruntime; images is a float32 array [N, 3, size, size]:

    import onnxruntime
    session = onnxruntime.InferenceSession("model.onnx")
    (logits,) = session.run(["logits"], {"images": images})
"""
    return f"""{text}
An image becomes the model's input so:

    import json
    from PIL import Image, ImageOps
    from torchvision import transforms as T
    p = json.load(open("{ABOUT}", encoding="utf-8"))["preprocessing"]
    transform = T.Compose([
        T.Resize(p["resize_size"], T.InterpolationMode(p["interpolation"])),
        T.CenterCrop(p["crop_size"]), T.ToTensor(), T.Normalize(p["mean"], p["std"])])
    image = transform(ImageOps.exif_transpose(Image.open("a.jpg")).convert("RGB"))
"""

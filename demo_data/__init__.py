"""The built-in demo: drawn images of hot dogs and other things, and a small pretrained backbone."""

from pathlib import Path

__all__ = ["images_dir", "weights_file"]


def images_dir() -> Path:
    """Return the folder that holds ``train/`` and ``val/``, each with one folder per class."""
    return Path(__file__).resolve().parent / "images"


def weights_file() -> Path:
    """Return the file of the demo backbone: a ResNet-18 without its head, in half precision."""
    return Path(__file__).resolve().parent / "resnet18-demo.safetensors"

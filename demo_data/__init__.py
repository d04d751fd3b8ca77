"""The embedded demo: hot dog / not hot dog as a folder of drawn images, and a small backbone."""

from pathlib import Path

__all__ = ["images_dir", "weights_file"]


def images_dir() -> Path:
    """Return the folder that holds ``train/`` and ``val/``, one folder per class in each."""
    return Path(__file__).resolve().parent / "images"


def weights_file() -> Path:
    """Return the file of the demo backbone: a ResNet-18 without its head, half precision."""
    return Path(__file__).resolve().parent / "resnet18-demo.safetensors"

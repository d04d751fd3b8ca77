"""The embedded demo task: hot dog / not hot dog, as a folder of drawn images."""

from pathlib import Path

__all__ = ["images_dir"]


def images_dir() -> Path:
    """Return the folder that holds ``train/`` and ``val/``, one folder per class in each."""
    return Path(__file__).resolve().parent / "images"

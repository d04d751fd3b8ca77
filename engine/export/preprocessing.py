"""The code that prepares an image for the model, for exported scripts and the README of a model.

It is the source of the functions that training and `predict` use, so that all of them give the
same pixels.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from engine.data.conversion import rgb_conversion

IMPORTS = ("import sys", "import numpy as np", "from PIL import Image, ImageFile")
"""What the code imports."""
HEIC = """\
try:  # HEIC images need this package
    import pillow_heif

    pillow_heif.register_heif_opener()
except ImportError:
    pass
"""


@cache
def conversion_code() -> str:
    """Return the code that defines `to_rgb(image, ranges)`, without imports."""
    text = Path(rgb_conversion.__file__).read_text(encoding="utf-8")
    ends = [
        node.end_lineno or 0
        for node in ast.parse(text).body
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    return "\n".join(text.splitlines()[max(ends) :]).strip("\n") + "\n"

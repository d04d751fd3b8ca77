"""What all pictures have in common: fonts, colours, and how they are saved."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from tui.cli.output.output_file import OutputFile
from tui.drawing.lines import shorten_middle

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""The palette of Okabe and Ito, which people who confuse red and green can tell apart."""
LINES = ("-", "--", "-.", ":")
"""Line styles, so that curves can be told apart without colour too."""
GREY = "#595959"
DPI = 150
NAME_CHARACTERS = 28
"""The length of the longest class name in a picture."""
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans",
    "Arial Unicode MS",
    "Hiragino Sans",
)
"""Fonts by preference: the first is part of matplotlib, the others have more characters."""
STYLE: dict[Any, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": list(FONTS),
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "text.parse_math": False,  # a class name may contain dollar signs
    "svg.fonttype": "none",  # text stays text: it can be edited, and every script can be shown
    "svg.hashsalt": "tl-tui",  # the same picture gives the same file
    "savefig.dpi": DPI,
    "savefig.facecolor": "white",
}


@contextmanager
def drawing() -> Iterator[None]:
    """Apply the style, whatever the user's own matplotlib settings are."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # fonts not installed
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def save(file: OutputFile, figure: Figure) -> None:
    """Save a figure in the format that the file's name ends in, and print where it is.

    Raises:
        Problem: The file cannot be written.
    """
    suffix = file.path.suffix.lower().removeprefix(".")
    metadata = {"Date": None} if suffix == "svg" else {}
    with warnings.catch_warnings(record=True) as caught, file.writing() as path:
        warnings.simplefilter("always")
        figure.savefig(path, format=suffix, metadata=metadata)
    file.finish()
    if suffix == "png" and any("missing from font" in str(one.message) for one in caught):
        print(
            f"{file.name}: no installed font has all characters of the class names; an SVG is "
            "shown with the fonts of its viewer.",
            file=sys.stderr,
        )


def picture_name(name: str) -> str:
    """Return a name on one line, shortened in its middle to `NAME_CHARACTERS`."""
    return shorten_middle(one_line(name), NAME_CHARACTERS)


def one_line(text: str) -> str:
    """Return a text without control characters, which an SVG file must not contain."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)

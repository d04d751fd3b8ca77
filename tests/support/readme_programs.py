"""The programs in the README of an exported model."""

from __future__ import annotations

import re
from pathlib import Path


def readme_programs(folder: Path) -> dict[str, str]:
    """Return the programs in README.txt by the first word of the line before each."""
    text = (folder / "README.txt").read_text()
    found = {}
    for heading, code in re.findall(r"^(\S.*):\n\n((?:    .*\n)+)", text, re.MULTILINE):
        found[re.split(r"[ ,]", heading)[0]] = re.sub(r"^    ", "", code, flags=re.MULTILINE)
    return found

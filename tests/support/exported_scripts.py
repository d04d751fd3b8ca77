"""Run exported training scripts where there is no tl-tui."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import contextlib, io, json, runpy, sys

class WithoutTlTui:
    barred = {"engine", "tui", "demo_data", "tl_tui", "textual", "rich", "msgspec", "safetensors"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.barred:
            raise ImportError(f"{name} is not for scripts")

sys.meta_path.insert(0, WithoutTlTui())
printed = []
for script in sys.argv[1:]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        runpy.run_path(script, run_name="__main__")
    printed.append(out.getvalue())
print(json.dumps(printed))
"""

Losses = list[tuple[int, float]]


def run_scripts(*scripts: Path, cwd: Path) -> list[Losses]:
    """Run scripts in one interpreter, which imports torch once, and return the losses they print.

    Args:
        scripts: Exported scripts; they run one after another.
        cwd: Where they save their best weights.

    Returns:
        The step and the loss of every step, for each script.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-c", _PROGRAM, *map(str, scripts)],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [
        [
            (int(step), float(loss))
            for step, loss in re.findall(r"^step (\d+): loss (\S+)$", printed, re.MULTILINE)
        ]
        for printed in json.loads(done.stdout)
    ]

"""ruff and mypy report nothing, with the configuration in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.paths import ROOT


@pytest.mark.parametrize(
    "tool", [["ruff", "check", "."], ["mypy"]], ids=lambda words: " ".join(words)
)
def test_tool_reports_no_problem(tool: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr

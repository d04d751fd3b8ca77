"""Fixtures of the app's tests."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def own_directories(tmp_path, monkeypatch):
    """Keep preferences, caches and runs in a temporary directory, separate for each test."""
    for name in ("CONFIG", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))

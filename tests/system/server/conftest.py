"""Engines with a scripted session, each with sockets of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine_client import SCRIPTED
from tests.support.paths import ROOT
from tl_tui.connect.client import EngineProcess


@pytest.fixture(autouse=True)
def socket_folder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return a new folder for sockets, and run in the project's root."""
    folder = tmp_path_factory.mktemp("s")
    monkeypatch.setenv("TL_TUI_TMPDIR", str(folder))
    monkeypatch.chdir(ROOT)
    return folder / f"tl-tui-{os.getuid()}"


@pytest.fixture
def engine() -> Iterator[EngineProcess]:
    """Start an engine with a scripted session in place of PyTorch."""
    process = EngineProcess.start(SCRIPTED)
    yield process
    process.kill()

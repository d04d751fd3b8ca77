"""Run `tl-tui train` on an engine that replays given events."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.replayed_session import Replay
from tests.support.train_replay import PROGRAM, SESSION, Train, write
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import SessionOpened


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "TL_TUI_TEST_EVENTS": str(tmp_path / "events"),
        "TL_TUI_TMPDIR": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


@pytest.fixture
def train(environment: dict[str, str], tmp_path: Path) -> Train:
    """Run `tl-tui train` on an engine that emits these events."""

    def run(
        events: list[AnyEvent],
        *options: str,
        session: SessionOpened = SESSION,
        at_close: list[AnyEvent] | None = None,
        then: int = 0,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        write(tmp_path, Replay([session], events, at_close or [], then))
        return subprocess.run(
            [*PROGRAM, "train", *options],
            env=os.environ | environment | (env or {}),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )

    return run

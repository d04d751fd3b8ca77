"""What logind would do to a detached engine, told from stand-ins for its two programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tui.cli.logind import logout_sentence

SESSION = "0::/user.slice/user-1000.slice/session-3.scope\n"
MANAGER = f"0::/user.slice/user-{os.getuid()}.slice/user@{os.getuid()}.service/app.slice/t.scope\n"


@pytest.mark.parametrize(
    ("place", "kills", "lingers", "found"),
    [
        (SESSION, "b false", "no", ""),
        (SESSION, "b true", "no", "loginctl enable-linger, once, and systemd-run --user --scope"),
        (SESSION, "b true", "yes", "engine. systemd-run --user --scope tl-tui keeps"),
        (MANAGER, "b true", "yes", ""),
        (MANAGER, "b false", "no", "loginctl enable-linger, once, keeps it running"),
        ("0::/system.slice/docker-1.scope\n", "b true", "no", ""),
    ],
)
def test_each_place_has_its_advice(
    place: str,
    kills: str,
    lingers: str,
    found: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cgroup = tmp_path / "cgroup"
    cgroup.write_text(place)
    for name, said in (("busctl", kills), ("loginctl", lingers)):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{said}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sentence = logout_sentence(tmp_path, cgroup)
    assert found in sentence and bool(found) == bool(sentence)
    assert logout_sentence(tmp_path / "no systemd here", cgroup) == ""


def test_programs_that_fail_are_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cgroup = tmp_path / "cgroup"
    cgroup.write_text(SESSION)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert logout_sentence(tmp_path, cgroup) == ""

"""The advice about logind, which may end a detached engine. Scripts replace its programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tui.cli.logind import logout_sentence

SESSION = "0::/user.slice/user-1000.slice/session-3.scope\n"
MANAGER = f"0::/user.slice/user-{os.getuid()}.slice/user@{os.getuid()}.service/app.slice/t.scope\n"


@pytest.mark.parametrize(
    ("unit", "kills", "lingers", "advice"),
    [
        (SESSION, "b false", "no", ""),
        (SESSION, "b true", "no", "loginctl enable-linger, once, and systemd-run --user --scope"),
        (SESSION, "b true", "yes", "engine. systemd-run --user --scope tl-tui keeps"),
        (MANAGER, "b true", "yes", ""),
        (MANAGER, "b false", "no", "loginctl enable-linger, once, keeps it running"),
        ("0::/system.slice/docker-1.scope\n", "b true", "no", ""),
    ],
)
def test_each_unit_has_its_advice(
    unit: str,
    kills: str,
    lingers: str,
    advice: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cgroup = tmp_path / "cgroup"
    cgroup.write_text(unit)
    for name, output in (("busctl", kills), ("loginctl", lingers)):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{output}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sentence = logout_sentence(tmp_path, cgroup)
    assert advice in sentence and bool(advice) == bool(sentence)
    assert logout_sentence(tmp_path / "no systemd here", cgroup) == ""


def test_without_these_programs_there_is_no_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cgroup = tmp_path / "cgroup"
    cgroup.write_text(SESSION)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert logout_sentence(tmp_path, cgroup) == ""

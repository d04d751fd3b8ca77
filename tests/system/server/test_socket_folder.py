"""The folder of the sockets: private to its user, or refused."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tl_tui.common.errors import Problem
from tl_tui.connect.socket_path import log_path, new_socket_path


def test_the_socket_folder_is_private(socket_folder: Path) -> None:
    path = new_socket_path()
    assert path.parent == socket_folder
    assert socket_folder.stat().st_mode & 0o777 == 0o700
    assert len(os.fsencode(path)) <= 107


def test_a_folder_open_to_others_is_refused(socket_folder: Path) -> None:
    new_socket_path()
    socket_folder.chmod(0o755)
    with pytest.raises(Problem, match="open to other users; chmod 700"):
        new_socket_path()


def test_a_link_instead_of_the_folder_is_refused(socket_folder: Path, tmp_path: Path) -> None:
    socket_folder.symlink_to(tmp_path)
    with pytest.raises(Problem, match="is not a folder"):
        new_socket_path()


def test_a_file_instead_of_the_folder_is_refused(socket_folder: Path) -> None:
    socket_folder.write_text("")
    with pytest.raises(Problem, match="is not a folder"):
        new_socket_path()


def test_a_path_too_long_for_a_socket_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setenv("TL_TUI_TMPDIR", str(deep))
    with pytest.raises(Problem, match="too long for a socket.*TL_TUI_TMPDIR"):
        new_socket_path()


def test_sockets_and_old_logs_of_dead_engines_are_removed(socket_folder: Path) -> None:
    dead, alive = new_socket_path(), new_socket_path()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(dead))
    log_path(dead).write_text("why it died")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(alive))
        listening.listen()
        for path in (dead, alive):
            os.utime(path, (0, 0))
        new_socket_path()
        assert alive.exists()
        assert not dead.exists()
        assert log_path(dead).exists()  # it may still be wanted
        os.utime(log_path(dead), (0, 0))
        new_socket_path()
        assert not log_path(dead).exists()

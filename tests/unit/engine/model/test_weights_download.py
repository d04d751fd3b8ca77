"""Weights files, from a server of our own: downloaded whole or not at all, checked by hash."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from engine.model import weights_download
from engine.model.weights_download import WeightsFile

CONTENT = b"weights, for all that a hash knows" * 1000
PREFIX = hashlib.sha256(CONTENT).hexdigest()[:8]
NAME = f"resnet18-{PREFIX}.pth"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that stands in for torchvision's server, with the file that is asked for."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/{NAME}"
    monkeypatch.setattr(weights_download, "weights_file", lambda *_: WeightsFile(NAME, url, PREFIX))
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


def test_it_comes_whole_and_then_is_there(
    served: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weights_download.main(["resnet18"]) == 0
    assert (cache / NAME).read_bytes() == CONTENT
    (served / NAME).unlink()
    assert weights_download.main(["resnet18"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "is there already, and whole" in said.err


def test_a_damaged_file_is_replaced(
    served: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(CONTENT[:100])
    assert weights_download.main(["resnet18"]) == 0
    assert (cache / NAME).read_bytes() == CONTENT
    said = capsys.readouterr().err
    assert "is damaged" in said and "is replaced, and whole" in said


def test_what_comes_damaged_is_not_kept(
    served: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (served / NAME).write_bytes(CONTENT + b"!")
    assert weights_download.main(["resnet18"]) == 2
    assert list(cache.iterdir()) == []
    assert "another hash than its name says" in capsys.readouterr().err


@pytest.mark.parametrize("there", [False, True], ids=["not on the server", "no server"])
def test_what_cannot_be_had_is_told(
    there: bool,
    served: Path,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (served / NAME).unlink()
    if there:
        nowhere = WeightsFile(NAME, f"http://127.0.0.1:9/{NAME}", PREFIX)
        monkeypatch.setattr(weights_download, "weights_file", lambda *_: nowhere)
    assert weights_download.main(["resnet18"]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert f"{NAME} cannot be downloaded" in sentence
    assert f"put it into {cache}" in sentence
    assert list(cache.iterdir()) == []


def test_a_server_that_says_nothing_is_given_up(cache: Path, served: Path) -> None:
    """The limit is on the wall clock, whatever the sockets wait for."""
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{NAME}"
        with pytest.raises(weights_download.DownloadFailed, match="longer than"):
            weights_download.download(WeightsFile(NAME, url, PREFIX), limit_s=0.2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["resnet81"], "did you mean resnet18"),
        (["resnet50", "IMAGENET1K_V7"], "choose IMAGENET1K_V1 or IMAGENET1K_V2"),
    ],
)
def test_unknown_names(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert weights_download.main(arguments) == 2
    assert told in capsys.readouterr().err


def test_torchvisions_names_carry_their_hash() -> None:
    assert weights_download.weights_file("resnet50").hash_prefix == "11ad3fa6"
    assert (
        weights_download.weights_file("resnet50", "IMAGENET1K_V1").name == "resnet50-0676ba61.pth"
    )

"""Weights files are downloaded completely or not at all, and their hash is checked."""

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

CONTENT = b"the content of a weights file" * 1000
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
    """Serve a folder with the requested file in place of torchvision's server; return it."""
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


def test_a_file_is_downloaded_once(
    served: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weights_download.main(["resnet18"]) == 0
    assert (cache / NAME).read_bytes() == CONTENT
    (served / NAME).unlink()
    assert weights_download.main(["resnet18"]) == 0
    output = capsys.readouterr()
    assert output.out == ""
    assert "already exists, and its hash is correct" in output.err


def test_a_damaged_file_is_replaced(
    served: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(CONTENT[:100])
    assert weights_download.main(["resnet18"]) == 0
    assert (cache / NAME).read_bytes() == CONTENT
    output = capsys.readouterr().err
    assert "is damaged" in output and "was replaced, and its hash is correct" in output


def test_a_download_with_a_wrong_hash_is_not_kept(
    served: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (served / NAME).write_bytes(CONTENT + b"!")
    assert weights_download.main(["resnet18"]) == 2
    assert list(cache.iterdir()) == []
    assert "does not match its name" in capsys.readouterr().err


@pytest.mark.parametrize("no_server", [False, True], ids=["not on the server", "no server"])
def test_a_failed_download_says_what_to_do(
    no_server: bool,
    served: Path,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (served / NAME).unlink()
    if no_server:
        nowhere = WeightsFile(NAME, f"http://127.0.0.1:9/{NAME}", PREFIX)
        monkeypatch.setattr(weights_download, "weights_file", lambda *_: nowhere)
    assert weights_download.main(["resnet18"]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert f"{NAME} cannot be downloaded" in sentence
    assert f"put it into {cache}" in sentence
    assert list(cache.iterdir()) == []


def test_a_download_from_a_silent_server_times_out(cache: Path, served: Path) -> None:
    """The time limit holds whatever the timeout of the socket."""
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{NAME}"
        with pytest.raises(weights_download.DownloadFailed, match="longer than"):
            weights_download.download(WeightsFile(NAME, url, PREFIX), limit_s=0.2)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["resnet81"], "did you mean resnet18"),
        (["resnet50", "IMAGENET1K_V7"], "choose IMAGENET1K_V1 or IMAGENET1K_V2"),
    ],
)
def test_unknown_names_are_refused_with_a_hint(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weights_download.main(arguments) == 2
    assert hint in capsys.readouterr().err


def test_the_hash_prefix_is_taken_from_the_file_name() -> None:
    assert weights_download.weights_file("resnet50").hash_prefix == "11ad3fa6"
    assert (
        weights_download.weights_file("resnet50", "IMAGENET1K_V1").name == "resnet50-0676ba61.pth"
    )

"""torchvision's weights files: where they lie, whether they are whole, and how to get them.

torchvision itself checks a file's hash only while downloading it, writes "Downloading" to standard
output, and unpickles whatever lies in the cache. Here the sha256 prefix in the file's name is
checked always, a download goes to a temporary name first, and nothing is printed.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torchvision.models import WeightsEnum, get_model_weights

CHUNK = 1 << 20
"""Bytes read at a time."""


class DownloadFailed(Exception):
    """The file could not be fetched whole; the text says why, in a few words."""


@dataclass(frozen=True)
class WeightsFile:
    """One file of torchvision's."""

    name: str
    url: str
    hash_prefix: str
    """First hexadecimal digits of the file's sha256, as its name has them."""


def weights_file_of(entry: WeightsEnum) -> WeightsFile:
    """The file of a weights entry."""
    name = entry.url.rpartition("/")[2]
    match = re.search(r"-([0-9a-f]{8,})\.", name)
    return WeightsFile(name, entry.url, match[1] if match else "")


def weights_file(arch: str, enum: str | None = None) -> WeightsFile:
    """The file of an arch's entry by name, or of its default.

    Raises:
        KeyError: no such entry.
        ValueError: no such arch.
    """
    return weights_file_of(get_model_weights(arch)[enum or "DEFAULT"])


def cached_path(name: str) -> Path:
    """Where torchvision looks for a file: `$TORCH_HOME/hub/checkpoints/<name>`."""
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def verify(path: Path, hash_prefix: str) -> bool:
    """The file's sha256 begins with the prefix."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(hash_prefix)


def download(
    file: WeightsFile, *, limit_s: float, progress: Callable[[str], None] = lambda _: None
) -> Path:
    """Download a file into torchvision's cache.

    Args:
        file: Which.
        limit_s: Wall-clock seconds after which it is given up, name look-up included (which
            ignores the socket's own time limit, and so runs in a thread).
        progress: Told how far it is, in a few words, about twice a second.

    Raises:
        DownloadFailed: no connection, too slow, no room, or the hash is wrong.
    """
    path = cached_path(file.name)
    stop = threading.Event()
    failure: list[BaseException] = []
    told = [f"downloading {file.name}"]

    def work() -> None:
        try:
            _download_to(file, path, stop, told)
        except Exception as error:  # handed to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=work, name="download", daemon=True)
    deadline = time.monotonic() + limit_s
    thread.start()
    while thread.is_alive() and time.monotonic() < deadline:
        progress(told[0])
        thread.join(0.5)
    if thread.is_alive():
        stop.set()
        raise DownloadFailed(f"it took longer than {limit_s:.0f} s")
    if failure:
        error = failure[0]
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DownloadFailed(_in_words(reason)) from error
    return path


def _in_words(reason: object) -> str:
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower() if reason.errno and reason.errno < 0 else reason.strerror
    return str(reason)


def _download_to(file: WeightsFile, path: Path, stop: threading.Event, told: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    digest = hashlib.sha256()
    request = urllib.request.Request(file.url, headers={"User-Agent": "tl-tui"})
    try:
        with urllib.request.urlopen(request, timeout=20) as source, open(part, "wb") as target:
            size = int(source.headers.get("Content-Length") or 0)
            done = 0
            while chunk := source.read(CHUNK):
                if stop.is_set():
                    return
                target.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                of = f" of {size / 1e6:.0f}" if size else ""
                told[0] = f"downloading {file.name}: {done / 1e6:.0f}{of} MB"
        if not digest.hexdigest().startswith(file.hash_prefix):
            raise DownloadFailed("what came has another hash than its name says")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)

"""Download torchvision's weights files, find them in the cache and verify them.

torchvision itself checks a file's hash only while downloading it, writes "Downloading" to standard
output, and unpickles any file in the cache. Here the SHA-256 prefix in the file's name is always
checked, a download goes to a temporary file first, and nothing goes to standard output.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from torchvision.models import WeightsEnum, get_model_weights, list_models

from tl_tui.common.errors import Problem

CHUNK = 1 << 20
"""The number of bytes to read at once."""
LIMIT_S = 3600.0
"""Time limit of `tl-tui fetch`, in seconds."""


class DownloadFailed(Exception):
    """The download did not complete. The message is a short reason."""


@dataclass(frozen=True)
class WeightsFile:
    """A file of torchvision's pretrained weights."""

    name: str
    url: str
    hash_prefix: str
    """The first hexadecimal digits of the file's SHA-256, from its name."""


def weights_file_of(entry: WeightsEnum) -> WeightsFile:
    """Return the file of a weights entry."""
    name = entry.url.rpartition("/")[2]
    match = re.search(r"-([0-9a-f]{8,})\.", name)
    return WeightsFile(name, entry.url, match[1] if match else "")


def weights_file(arch: str, enum: str | None = None) -> WeightsFile:
    """Return the file of a model's weights entry, or of its default entry.

    Raises:
        KeyError: The model has no such entry.
        ValueError: torchvision has no such model.
    """
    return weights_file_of(get_model_weights(arch)[enum or "DEFAULT"])


def unknown_arch(arch: str) -> str:
    """Return an error message with similar names if torchvision has no such model, else empty."""
    known = list_models(module=torchvision.models)
    if arch in known:
        return ""
    similar = difflib.get_close_matches(arch, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(similar)}?" if similar else "use, for example, resnet18."
    return f"{arch}: torchvision has no such model; {hint}"


def cached_path(name: str) -> Path:
    """Return the path of a file in torchvision's cache, `$TORCH_HOME/hub/checkpoints/<name>`."""
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def verify(path: Path, hash_prefix: str) -> bool:
    """Return whether the file's SHA-256 starts with the prefix."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(hash_prefix)


def download(
    file: WeightsFile, *, limit_s: float, progress: Callable[[str], None] = lambda _: None
) -> Path:
    """Download a file into torchvision's cache.

    Args:
        file: The file to download.
        limit_s: Time limit in seconds. It includes the name look-up, which ignores socket
            timeouts; the download therefore runs in a thread.
        progress: Called with a short progress text about twice a second.

    Returns:
        The path of the file in the cache.

    Raises:
        DownloadFailed: There is no connection, the download is too slow, the disk is full, or the
            hash is wrong.
    """
    path = cached_path(file.name)
    stop = threading.Event()
    failure: list[BaseException] = []
    status = [f"downloading {file.name}"]

    def run_download() -> None:
        try:
            _download_to(file, path, stop, status)
        except Exception as error:  # raised again in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run_download, name="download", daemon=True)
    deadline = time.monotonic() + limit_s
    thread.start()
    while thread.is_alive() and time.monotonic() < deadline:
        progress(status[0])
        thread.join(0.5)
    if thread.is_alive():
        stop.set()
        raise DownloadFailed(f"it took longer than {limit_s:.0f} s")
    if failure:
        error = failure[0]
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DownloadFailed(_reason_text(reason)) from error
    return path


def _reason_text(reason: object) -> str:
    if isinstance(reason, socket.gaierror):  # the name look-up fails first if a machine is offline
        return "no internet"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason)


def _download_to(file: WeightsFile, path: Path, stop: threading.Event, status: list[str]) -> None:
    """Download a file, keeping `status[0]` up to date; return early if `stop` is set."""
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
                total = f" of {size / 1e6:.0f}" if size else ""
                status[0] = f"downloading {file.name}: {done / 1e6:.0f}{total} MB"
        if not digest.hexdigest().startswith(file.hash_prefix):
            raise DownloadFailed("the hash of the downloaded file does not match its name")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    """Run `tl-tui fetch ARCH [ENUM]`: download one weights file into the cache.

    Progress and results go to standard error.

    Returns:
        The exit code.
    """
    arch, entry = arguments[0], arguments[1] if len(arguments) > 1 else None
    try:
        file = _requested_file(arch, entry)
        print(_fetch(file), file=sys.stderr)
    except (Problem, DownloadFailed) as error:
        print(f"tl-tui: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _requested_file(arch: str, entry: str | None) -> WeightsFile:
    """Return the file of a model's weights entry; see `weights_file`.

    Raises:
        Problem: torchvision has no such model or entry.
    """
    if message := unknown_arch(arch):
        raise Problem(message)
    names = [known_entry.name for known_entry in get_model_weights(arch)]
    if entry is not None and entry.upper() not in (*names, "DEFAULT"):
        raise Problem(f"{entry}: {arch} has no such weights; choose {' or '.join(names)}.")
    return weights_file(arch, entry.upper() if entry else None)


def _fetch(file: WeightsFile) -> str:
    """Download a file into the cache, unless an intact copy exists.

    Returns:
        A sentence that says what was done.

    Raises:
        DownloadFailed: The download failed. The message says what to do instead.
    """
    path = cached_path(file.name)
    damaged = False
    if path.exists():
        if verify(path, file.hash_prefix):
            return f"{path} already exists, and its hash is correct."
        damaged = True
        print(f"{path} is damaged: its hash does not match its name.", file=sys.stderr)
    progress = _ProgressLine()
    try:
        download(file, limit_s=LIMIT_S, progress=progress)
    except DownloadFailed as error:
        raise DownloadFailed(
            f"{file.name} cannot be downloaded: {error}. Download it on a machine with internet "
            f"(with `tl-tui fetch`, for example) and put it into {path.parent}."
        ) from error
    finally:
        progress.clear()
    return f"{path} was {'replaced' if damaged else 'downloaded'}, and its hash is correct."


class _ProgressLine:
    """A line of progress on standard error, rewritten in place; silent if that is no terminal."""

    def __init__(self) -> None:
        self._width = 0

    def __call__(self, text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{text:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(text)

    def clear(self) -> None:
        """Erase the line."""
        if self._width:
            print(f"\r{'':<{self._width}}\r", end="", file=sys.stderr, flush=True)

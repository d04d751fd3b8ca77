"""torchvision's weights files: where they lie, whether they are whole, and how to get them.

torchvision itself checks a file's hash only while downloading it, writes "Downloading" to standard
output, and unpickles whatever lies in the cache. Here the sha256 prefix in the file's name is
checked always, a download goes to a temporary name first, and nothing is printed.
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
"""Bytes read at a time."""
LIMIT_S = 3600.0
"""Wall-clock limit of `tl-tui fetch`."""


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
    if isinstance(reason, socket.gaierror):  # a name look-up: what offline machines run into
        return "no internet"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
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


def main(arguments: list[str]) -> int:
    """`tl-tui fetch ARCH [ENUM]`: one weights file into the cache. Returns the exit code.

    Progress and what was done go to standard error.
    """
    arch, entry = arguments[0], arguments[1] if len(arguments) > 1 else None
    try:
        file = _asked_file(arch, entry)
        print(_fetched(file), file=sys.stderr)
    except (Problem, DownloadFailed) as error:
        print(f"tl-tui: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _asked_file(arch: str, entry: str | None) -> WeightsFile:
    """The file of an arch's entry.

    Raises:
        Problem: no such arch or entry, with near matches.
    """
    known = list_models(module=torchvision.models)
    if arch not in known:
        near = difflib.get_close_matches(arch, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "resnet18, for one, is known."
        raise Problem(f"{arch}: torchvision has no such model; {hint}")
    names = [known_entry.name for known_entry in get_model_weights(arch)]
    if entry is not None and entry.upper() not in (*names, "DEFAULT"):
        raise Problem(f"{entry}: {arch} has no such weights; choose {' or '.join(names)}.")
    return weights_file(arch, entry.upper() if entry else None)


def _fetched(file: WeightsFile) -> str:
    """Get a file into the cache unless it is there. Returns what was done, in a sentence.

    Raises:
        DownloadFailed: with what can be done instead.
    """
    path = cached_path(file.name)
    damaged = False
    if path.exists():
        if verify(path, file.hash_prefix):
            return f"{path} is there already, and whole."
        damaged = True
        print(f"{path} is damaged (its hash is not the one in its name).", file=sys.stderr)
    shown = _Progress()
    try:
        download(file, limit_s=LIMIT_S, progress=shown)
    except DownloadFailed as error:
        raise DownloadFailed(
            f"{file.name} cannot be downloaded: {error}. Fetch it on a machine with internet "
            f"(tl-tui fetch does it there, too) and put it into {path.parent}."
        ) from error
    finally:
        shown.end()
    return f"{path} is {'replaced' if damaged else 'there'}, and whole."


class _Progress:
    """How far a download is: one line that is rewritten on a terminal, else nothing."""

    def __init__(self) -> None:
        self._width = 0

    def __call__(self, told: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{told:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(told)

    def end(self) -> None:
        if self._width:
            print(f"\r{'':<{self._width}}\r", end="", file=sys.stderr, flush=True)

"""The record of a run: a directory with `config.json`, `journal.jsonl` and `engine.log`.

The journal is append-only, one strict JSON object a line: commands, mask changes, steps,
validations. It is written from the first step on and readable while it grows. Imports no torch.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import string
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from tl_tui import __version__
from tl_tui.common import json_codec
from tl_tui.common.errors import Problem
from tl_tui.common.host import this_host

FORMAT = 2
"""Version of the run directory's format; in `config.json`. 2 has what a resume needs."""
CONFIG, JOURNAL, CHECKPOINTS = "config.json", "journal.jsonl", "checkpoints"
"""Names within a run directory."""
ENGINE = "engine.json"
"""Which engine writes the run now, for who looks from another host; gone when it is."""


class RunDirectoryProblem(Problem):
    """The run directory cannot be used; the text says why and what to do."""


def runs_directory() -> Path:
    """Where runs go by default: `$XDG_STATE_HOME/tl-tui/runs`."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "tl-tui" / "runs"


def default_run_dir(arch: str) -> Path:
    """`$XDG_STATE_HOME/tl-tui/runs/<time>-<arch>-<four letters>`."""
    letters = "".join(random.SystemRandom().choices(string.ascii_lowercase, k=4))
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{arch}-{letters}"
    return runs_directory() / name


def check_run_dir(path: Path) -> None:
    """Refuse a run directory that could not be written later, before anything is trained.

    Raises:
        RunDirectoryProblem: a file is in its place, it cannot be written, or it holds a run.
    """
    where = f"--run-dir {path}"
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise RunDirectoryProblem(f"{where}: {existing} is a file; name a folder to be made.")
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:  # root may write everywhere by its permissions, and yet not in /proc or on a full disk
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise RunDirectoryProblem(
            f"{where}: it cannot be made ({reason}); name another folder."
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise RunDirectoryProblem(f"{where}: it cannot be written; name another folder.")
    for folder in missing:
        folder.rmdir()  # nothing is left behind before the first step
    if (path / JOURNAL).exists():
        raise RunDirectoryProblem(
            f"{where}: it holds a run already; name a new folder, or `tl-tui resume` it."
        )


class JournalWriter:
    """Writes one run directory. Nothing is made before `begin`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal: TextIO | None = None
        self._early: list[dict[str, Any]] = []
        self.on_failure: Callable[[str], None] = lambda _: None
        """Told once, in a sentence, when the journal cannot be written any further."""
        self._failed = False
        self._config = ""
        """What `config.json` says, should the directory vanish."""

    @property
    def begun(self) -> bool:
        return self._journal is not None

    def begin(self, config: dict[str, Any]) -> None:
        """Make the directory, lock it, write the configuration and what was noted so far.

        Raises:
            RunDirectoryProblem: it cannot be written, or another engine writes it.
        """
        self._open(config)

    def go_on(self) -> None:
        """Lock a directory that holds a run, and write its journal further.

        Raises:
            RunDirectoryProblem: it cannot be written, or another engine writes it.
        """
        self._open(None)

    def _open(self, config: dict[str, Any] | None) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            journal = open(self.path / JOURNAL, "a+", encoding="utf-8", buffering=1)
            try:
                fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                journal.close()
                sentence = f"{self.path}: another engine writes this run; end that one first."
                raise RunDirectoryProblem(sentence) from error
            if config is None:
                _end_torn_line(self.path / JOURNAL)
                self._config = (self.path / CONFIG).read_text(encoding="utf-8")
            else:
                whole = {
                    "format": FORMAT,
                    "tl_tui": __version__,
                    "engine": engine_identity(),
                    **config,
                }
                self._config = json_codec.dumps(whole) + "\n"
                (self.path / CONFIG).write_text(self._config, encoding="utf-8")
            (self.path / ENGINE).write_text(
                json_codec.dumps(engine_identity()) + "\n", encoding="utf-8"
            )
        except OSError as error:
            raise RunDirectoryProblem(
                f"--run-dir {self.path}: it cannot be written ({error.strerror or error}); "
                "name another folder."
            ) from error
        self._journal = journal
        for line in self._early:
            self._write(line)
        self._early.clear()

    def note(self, event: str, **fields: Any) -> None:
        """Add a line to the journal; kept until `begin` if the run has not begun."""
        line = {"event": event, "time": round(time.time(), 3), **fields}
        if self._journal is None:
            self._early.append(line)
        else:
            self._write(line)

    def sync(self) -> None:
        """Onto the disk, with what belongs together."""
        if self._journal is not None:
            try:
                self._journal.flush()
                self._put_back_if_gone()
                os.fsync(self._journal.fileno())
            except OSError as error:
                self._tell_failure(error)

    def close(self) -> None:
        """Sync to disk and unlock. The last line says that the run was left and not cut off."""
        if self._journal is not None:
            self.note("closed")
            self.sync()
            with contextlib.suppress(OSError):
                (self.path / ENGINE).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # told already
                self._journal.close()
            self._journal = None

    def _write(self, line: dict[str, Any]) -> None:
        assert self._journal is not None
        try:
            self._journal.write(json_codec.dumps(line) + "\n")
        except OSError as error:  # a full disk must not cost the run
            self._tell_failure(error)

    def _put_back_if_gone(self) -> None:
        """Somebody removed the directory: the journal is still in our hand, and is put back.

        Raises:
            OSError: it cannot be.
        """
        assert self._journal is not None
        path, held = self.path / JOURNAL, self._journal.fileno()
        if path.exists():
            return
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / CONFIG).write_text(self._config, encoding="utf-8")
        journal = open(path, "a+", encoding="utf-8", buffering=1)
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = os.fstat(held).st_size
        with open(path, "ab") as file:
            while (there := file.tell()) < size:
                file.write(os.pread(held, min(1 << 20, size - there), there))
        self._journal.close()
        self._journal = journal
        self.note("directory_put_back")
        self.on_failure(
            f"{self.path} was removed while the run went on. Its journal and configuration are "
            "put back; checkpoints that lay there are gone, but for those saved since."
        )

    def _tell_failure(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            self.on_failure(
                f"{self.path / JOURNAL} cannot be written ({error.strerror or error}); "
                "make room. Training goes on, and what happens now is not recorded."
            )


def engine_identity() -> dict[str, Any]:
    """Which engine writes: host, process, since which start of the machine, and in which job."""
    return {"host": this_host.host, "pid": os.getpid(), "boot": _boot_id(), "job": this_host.job}


def _end_torn_line(journal: Path) -> None:
    """What was cut off in the middle of a line must not swallow the next one."""
    with open(journal, "rb+") as file:
        if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            file.write(b"\n")


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""

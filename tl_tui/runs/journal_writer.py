"""Write a run directory: `config.json`, and the journal `journal.jsonl`.

The journal has one strict JSON object per line: commands, mask changes, steps, validations and so
on. It is only appended to, from the first step on, and can be read while it grows.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shlex
import string
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from tl_tui import __version__
from tl_tui.common import json_codec
from tl_tui.common.errors import Problem, write_remedy
from tl_tui.common.host import this_host

FORMAT = 2
"""Version of the run directory's format, written to `config.json`. Since 2, runs can be resumed."""
CONFIG, JOURNAL, CHECKPOINTS = "config.json", "journal.jsonl", "checkpoints"
"""Names in a run directory."""
ENGINE = "engine.json"
"""Name of the file that identifies the engine that has the run open, for readers on other hosts."""


class RunDirectoryProblem(Problem):
    """A run directory cannot be used; the text says why and what to do."""


def runs_directory() -> Path:
    """Return the default folder of runs: `$XDG_STATE_HOME/tl-tui/runs`."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "tl-tui" / "runs"


def default_run_dir(arch: str) -> Path:
    """Return a new path in the default folder: `<time>-<arch>-<four letters>`."""
    letters = "".join(random.SystemRandom().choices(string.ascii_lowercase, k=4))
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{arch}-{letters}"
    return runs_directory() / name


def check_run_dir(path: Path) -> None:
    """Check before training that a run directory can be written; leave nothing behind.

    Raises:
        RunDirectoryProblem: It is a file, cannot be written, or holds a run already.
    """
    where = f"--run-dir {path}"
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise RunDirectoryProblem(f"{where}: {existing} is a file; name another folder.")
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:  # permissions alone do not tell: root may not create folders in /proc or on a full disk
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise RunDirectoryProblem(
            f"{where}: it cannot be created ({reason}); name another folder."
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise RunDirectoryProblem(f"{where}: it cannot be written; name another folder.")
    for folder in missing:
        folder.rmdir()
    if (path / JOURNAL).exists():
        raise RunDirectoryProblem(
            f"{where}: it holds a run already; name a new folder{_or_resume(path)}."
        )


def _or_resume(path: Path) -> str:
    """Return the command that resumes a run, as an alternative, if the run can be resumed."""
    if not (path / CHECKPOINTS / "last.safetensors").exists() or _has_failed(path):
        return ""
    return f", or continue it with `tl-tui resume {shlex.quote(str(path))}`"


def _has_failed(path: Path) -> bool:
    """Return whether the training of a run ended because a step failed, which resuming repeats."""
    failed = False
    with contextlib.suppress(OSError), open(path / JOURNAL, "rb") as journal:
        for line in journal:
            if line.startswith(b'{"event":"train_ended"'):
                failed = b'"reason":"failed"' in line
    return failed


class JournalWriter:
    """Writes one run directory, from `begin` or `reopen` on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal: TextIO | None = None
        self._early: list[dict[str, Any]] = []
        self.on_failure: Callable[[str], None] = lambda _: None
        """Called with a sentence if the journal cannot be written or its directory was removed."""
        self._failed = False
        self._config = ""
        """The text of `config.json`, to write it again if the directory is removed."""

    @property
    def begun(self) -> bool:
        """Whether the run directory is being written."""
        return self._journal is not None

    def begin(self, config: dict[str, Any]) -> None:
        """Create and lock the directory; write the configuration and the lines noted so far.

        Raises:
            RunDirectoryProblem: It cannot be written, or another engine has it open.
        """
        self._open(config)

    def reopen(self) -> None:
        """Lock the directory of a run and append to its journal.

        Raises:
            RunDirectoryProblem: It cannot be written, or another engine has it open.
        """
        self._open(None)

    def _open(self, config: dict[str, Any] | None) -> None:
        new = config is not None and not (self.path / JOURNAL).exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            journal = open(self.path / JOURNAL, "a+", encoding="utf-8", buffering=1)
            try:
                fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                journal.close()
                raise RunDirectoryProblem(
                    f"{self.path}: another engine has this run open; end that one first."
                ) from error
            if config is None:
                _end_last_line(self.path / JOURNAL)
                self._config = (self.path / CONFIG).read_text(encoding="utf-8")
            else:
                content = {
                    "format": FORMAT,
                    "tl_tui": __version__,
                    "engine": engine_identity(),
                    **config,
                }
                self._config = json_codec.dumps(content) + "\n"
                (self.path / CONFIG).write_text(self._config, encoding="utf-8")
            (self.path / ENGINE).write_text(
                json_codec.dumps(engine_identity()) + "\n", encoding="utf-8"
            )
        except OSError as error:
            if new:  # a directory without a configuration would block its name
                for name in (JOURNAL, CONFIG, ENGINE):
                    with contextlib.suppress(OSError):
                        (self.path / name).unlink()
            raise RunDirectoryProblem(
                f"--run-dir {self.path}: it cannot be written ({error.strerror or error}); "
                "name another folder."
            ) from error
        self._journal = journal
        for line in self._early:
            self._write(line)
        self._early.clear()

    def note(self, event: str, **fields: Any) -> None:
        """Append a line to the journal; before `begin()` is called, keep the line in memory."""
        line = {"event": event, "time": round(time.time(), 3), **fields}
        if self._journal is None:
            self._early.append(line)
        else:
            self._write(line)

    def sync(self) -> None:
        """Write the journal to the disk; restore the directory if it was removed."""
        if self._journal is not None:
            try:
                self._journal.flush()
                self._restore_if_removed()
                os.fsync(self._journal.fileno())
            except OSError as error:
                self._report_failure(error)

    def close(self) -> None:
        """Sync and unlock. A last line records that the run was closed and not cut off."""
        if self._journal is not None:
            self.note("closed")
            self.sync()
            with contextlib.suppress(OSError):
                (self.path / ENGINE).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # `sync` has reported it
                self._journal.close()
            self._journal = None

    def _write(self, line: dict[str, Any]) -> None:
        assert self._journal is not None
        try:
            self._journal.write(json_codec.dumps(line) + "\n")
        except OSError as error:  # training continues on a full disk
            self._report_failure(error)

    def _restore_if_removed(self) -> None:
        """Write the directory again if it was removed; the open file still has the whole journal.

        Raises:
            OSError: It cannot be written.
        """
        assert self._journal is not None
        path, removed = self.path / JOURNAL, self._journal.fileno()
        if path.exists():
            return
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / CONFIG).write_text(self._config, encoding="utf-8")
        journal = open(path, "a+", encoding="utf-8", buffering=1)
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = os.fstat(removed).st_size
        with open(path, "ab") as file:
            while (offset := file.tell()) < size:
                file.write(os.pread(removed, min(1 << 20, size - offset), offset))
        self._journal.close()
        self._journal = journal
        self.note("directory_put_back")
        self.on_failure(
            f"{self.path} was removed during the run. Its journal and configuration were put back; "
            "checkpoints saved before that are lost."
        )

    def _report_failure(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            self.on_failure(
                f"{self.path / JOURNAL} cannot be written ({error.strerror or error}); "
                f"{write_remedy(error, self.path)}. Training continues, but is not recorded."
            )


def engine_identity() -> dict[str, Any]:
    """Return what identifies this engine: host, process id, boot of the machine, and SLURM job."""
    return {"host": this_host.host, "pid": os.getpid(), "boot": _boot_id(), "job": this_host.job}


def _end_last_line(journal: Path) -> None:
    """Add a newline if the last line is torn, so that the next one is written on its own line."""
    with open(journal, "rb+") as file:
        if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            file.write(b"\n")


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""

"""Start `tl-tui` as a fork of a process that has already imported torch.

Importing torch and torchvision takes four to five seconds of a core, and a test of the command line
or the screen starts an engine, which needs both. The fork server is a process that imports
everything once. A command is a fork of it, and the engine that the command starts is a fork of the
command, so that parents, children, sessions, signals and exit codes are those of ordinary
processes.

What a fork cannot show is how an interpreter starts: the import path, `PYTHON*` variables and the
moment when torch is not there yet. Tests of those pass `fresh=True` to the functions of
`tests.support.command_line`, and with `--fresh` or `--thorough` every process is started afresh.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import hashlib
import importlib
import json
import os
import pkgutil
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NoReturn

from tests.support.paths import ROOT

_MESSAGE_BYTES = 1 << 18


# --- the tests' side ----------------------------------------------------------------------------


class ForkedProcess:
    """A command started by the fork server; has what the tests need of `subprocess.Popen`."""

    def __init__(self, status: int, stdout: IO[str] | None, stderr: IO[str] | None) -> None:
        """
        Args:
            status: A pipe on which the server writes the process id, and later the wait status.
            stdout: What the process prints, for the test to read.
            stderr: A file that the process writes its errors to.
        """
        self.stdout, self.stderr = stdout, stderr
        self.returncode: int | None = None
        self._status = status
        self.pid = int.from_bytes(os.read(status, 4), "little")
        assert self.pid, "the fork server has ended"

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self._reap()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process and return its exit code.

        Raises:
            subprocess.TimeoutExpired: The process still runs after `timeout` seconds.
        """
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("tl-tui", timeout or 0.0)
            self._reap()
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read standard output and error to their end."""
        output = self.stdout.read() if self.stdout and not self.stdout.closed else ""
        self.wait(timeout)
        errors = self.stderr.read() if self.stderr and not self.stderr.closed else ""
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        return output, errors

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the process to end, by SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once, by SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _reap(self) -> None:
        status = os.read(self._status, 4)
        assert status, "the fork server has ended"
        self.returncode = os.waitstatus_to_exitcode(int.from_bytes(status, "little"))
        os.close(self._status)


class ForkServer:
    """The client's side of the fork server; starts it when the first process is asked for."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def start(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | os.PathLike[str],
        terminal: int | None = None,
    ) -> ForkedProcess:
        """Start `tl-tui ARGUMENTS`.

        Args:
            arguments: Without the program's name.
            env: The whole environment.
            cwd: The working directory.
            terminal: A file descriptor that is its standard input, output and error, and the
                controlling terminal of a session of its own. If None, it reads from /dev/null,
                and the test reads its output.
        """
        if self._socket is None:
            self._socket = self._launch()
        status, status_end = os.pipe()
        stdout = stderr = None
        if terminal is None:
            output, output_end = os.pipe()
            stdout = open(output, encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
            error_file, name = tempfile.mkstemp()  # a file, which never fills up like a pipe
            stderr = open(name, encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
            os.unlink(name)
            null = os.open(os.devnull, os.O_RDONLY)
            given = [null, output_end, error_file]
        else:
            given = [terminal] * 3
        request = {
            "arguments": list(arguments),
            "env": dict(env),
            "cwd": os.fspath(cwd),
            "terminal": terminal is not None,
        }
        socket.send_fds(self._socket, [json.dumps(request).encode()], [*given, status_end])
        for descriptor in {*given, status_end} - {terminal}:
            os.close(descriptor)
        return ForkedProcess(status, stdout, stderr)

    @staticmethod
    def _launch() -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                env=os.environ | {"OMP_NUM_THREADS": "1", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # ctrl+c in pytest's terminal is not for it
            )
        return ours


def process_mark(folder: str) -> str:
    """Return the name that the system shows for processes whose TL_TUI_TMPDIR is `folder`.

    /proc/PID/environ is that of the fork server; /proc/PID/comm can be set.
    """
    return "t" + hashlib.sha1(folder.encode()).hexdigest()[:14]


# --- the server's side --------------------------------------------------------------------------


def _import_everything() -> None:
    import engine
    import tui

    for package in (tui, engine):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    assert threading.active_count() == 1, "a fork has only the thread that forked"


def _serve(connection: socket.socket) -> None:
    """Start processes until the tests end."""
    ended = selectors.DefaultSelector()
    ended.register(connection, selectors.EVENT_READ)
    while True:
        for key, _ in ended.select():
            if key.fileobj is not connection:
                pid, status_end = key.data
                ended.unregister(key.fileobj)
                os.close(key.fd)
                _, status = os.waitpid(pid, 0)
                with contextlib.suppress(BrokenPipeError):
                    os.write(status_end, status.to_bytes(4, "little"))
                os.close(status_end)
                continue
            message, descriptors, _, _ = socket.recv_fds(connection, _MESSAGE_BYTES, 4)
            if not message:
                return
            *given, status_end = descriptors
            pid = os.fork()
            if pid == 0:
                _run_and_exit(partial(_run_command, json.loads(message), given))
            os.write(status_end, pid.to_bytes(4, "little"))
            ended.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, status_end))
            for descriptor in given:
                os.close(descriptor)


def _run_and_exit(run: Callable[[], None]) -> NoReturn:
    """Run and exit with the code of its SystemExit.

    As in `multiprocessing`, no module is taken down; with torch that would take most of a second.
    """
    code: object = 1
    try:
        run()
    except SystemExit as leaving:
        code = leaving.code
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _run_command(request: dict[str, Any], given: list[int]) -> None:
    if request["terminal"]:
        os.setsid()
    for number, descriptor in enumerate(given):
        os.dup2(descriptor, number)
    os.closerange(3, 1024)
    if request["terminal"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(request["cwd"])
    _become(["tl-tui", *request["arguments"]], request["env"])

    from tl_tui import __main__ as launcher
    from tl_tui.connect import client

    client.subprocess = SimpleNamespace(**vars(subprocess) | {"Popen": _fork_engine})  # type: ignore[assignment]
    launcher._claim = lambda *names: None  # the packages are imported already
    launcher.main()


def _become(argv: list[str], env: Mapping[str, str]) -> None:
    """Take on what a new interpreter takes from its environment."""
    gc.freeze()  # no object of before may be collected and close a file descriptor of after
    sys.argv = argv
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    Path("/proc/self/comm").write_text(process_mark(env.get("TL_TUI_TMPDIR", "")))
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)) and number != signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    encoding, _, errors = env.get("PYTHONIOENCODING", "").partition(":")
    errors = errors or ("strict" if encoding else "surrogateescape")
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = open(  # noqa: SIM115
            number,
            "w",
            encoding=encoding or "utf-8",
            errors=errors if number == 1 else "backslashreplace",
            buffering=1 if number == 2 or os.isatty(number) else -1,
            closefd=False,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _fork_engine(
    command: list[str], *, env: Mapping[str, str], **options: Any
) -> subprocess.Popen[bytes]:
    """Take the place of `subprocess.Popen` where an engine is started."""
    from tl_tui.connect.client import engine_command

    serve = engine_command("serve")
    if command[: len(serve)] != serve:
        return subprocess.Popen(command, env=env, **options)
    run = partial(_run_engine, command[len(serve) :], env)
    return subprocess.Popen(command, preexec_fn=run, **options)


def _run_engine(arguments: list[str], env: Mapping[str, str]) -> None:
    """Run the engine where `subprocess.Popen` would execute a program. Does not return.

    The command's other threads are gone, and its objects stay as they are.
    """
    try:
        os.closerange(3, 1024)  # also what Popen in the parent waits for to know that it runs
        _become(["tl-tui engine", *arguments], env)
        from engine.__main__ import main

        main(["serve", *arguments])
    except BaseException:
        traceback.print_exc()
    os._exit(1)


if __name__ == "__main__":
    _import_everything()
    _serve(socket.socket(fileno=int(sys.argv[1])))

"""A real sshd on loopback for one test, behind a proxy that delays and cuts connections."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
NEEDS = [name for name in ("ssh", "ssh-keygen") if shutil.which(name) is None]
WHY_NOT = (
    "there is no sshd (openssh-server)"
    if SSHD is None
    else f"there is no {NEEDS[0]} (openssh-client)"
    if NEEDS
    else ""
)
"""Why the tests with sshd cannot run; empty if they can."""


class SlowProxy:
    """A proxy to a port that delays every byte and can stall or cut its connections."""

    def __init__(self, port: int, delay: float) -> None:
        """
        Args:
            port: The port to forward connections to.
            delay: The delay in each direction, in seconds.
        """
        self._to, self._delay = port, delay
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._open = threading.Event()
        self._open.set()
        self.refuses = False
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.refuses:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._to))
            self._ends += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                time.sleep(self._delay)  # simulates a slow connection; no test waits for this
                self._open.wait()
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            end.close()

    def stall(self) -> None:
        """Hold back all data without losing any."""
        self._open.clear()

    def flow(self) -> None:
        """Deliver the data that was held back, and stop holding data back."""
        self._open.set()

    def cut(self) -> None:
        """Close every connection immediately."""
        for end in self._ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._ends.clear()

    def close(self) -> None:
        self._listener.close()
        self.cut()
        self.flow()


class SshServer:
    """An sshd that lets this user in with a new key, and whose start-up files print text."""

    HOST = "gpu1"

    def __init__(self, folder: Path, environment: Mapping[str, str], *, delay: float) -> None:
        """
        Args:
            folder: The folder for keys and configuration.
            environment: Environment variables for the commands that run on the server.
            delay: The delay of a byte in each direction, in seconds.
        """
        assert SSHD is not None
        self._folder = folder
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
            )
        (folder / "authorized").write_text((folder / "user.pub").read_text())
        exports = "".join(
            f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()
        )
        shell = folder / "shell"
        shell.write_text(
            f"#!/bin/sh\n{exports}"
            "echo 'Welcome to gpu1'\necho 'a warning of a start-up file' >&2\n"
            "printf 'and no end of line'\n"
            'exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n'
        )
        shell.chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        (folder / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/authorized\nForceCommand {shell}\n"
            f"PidFile {folder}/pid\nUsePAM no\nStrictModes no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        )
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # required by sshd as root
        self._log = open(folder / "sshd.log", "w")  # noqa: SIM115
        self._process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", folder / "sshd_config"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        while self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                os.sched_yield()
        assert self._process.poll() is None, (folder / "sshd.log").read_text()
        self.line = SlowProxy(port, delay)
        (folder / "ssh_config").write_text(
            f"Host {self.HOST}\n HostName 127.0.0.1\n Port {self.line.port}\n"
            f" IdentityFile {folder}/user\n IdentitiesOnly yes\n StrictHostKeyChecking ask\n"
            f" UserKnownHostsFile {folder}/known_hosts\n GlobalKnownHostsFile /dev/null\n"
        )
        (folder / "bin").mkdir()
        ssh = folder / "bin" / "ssh"  # the installed ssh with the test's configuration
        ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
        ssh.chmod(0o755)
        self.path = f"{folder / 'bin'}:{os.environ['PATH']}"
        """A PATH on which this ssh comes first."""

    @property
    def log(self) -> str:
        return (self._folder / "sshd.log").read_text()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self.line.close()
        self._log.close()

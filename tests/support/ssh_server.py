"""A real sshd on loopback for one test, behind a line that is slow and can be cut."""

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
"""Why this cannot be run here; empty if it can."""


class SlowLine:
    """Carries connections to a port; each byte arrives so much later, and lines can be cut."""

    def __init__(self, port: int, delay: float) -> None:
        """
        Args:
            port: Where they lead.
            delay: Seconds, each way.
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
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                time.sleep(self._delay)  # the line's own slowness, no waiting of the test's
                self._open.wait()
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            end.close()

    def stall(self) -> None:
        """Nothing arrives any more, and nothing is lost."""
        self._open.clear()

    def flow(self) -> None:
        """What was held back arrives."""
        self._open.set()

    def cut(self) -> None:
        """Every connection ends at once."""
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
    """Lets this user in by a key of its own, through noisy start-up files."""

    HOST = "gpu1"

    def __init__(self, folder: Path, environment: Mapping[str, str], *, delay: float) -> None:
        """
        Args:
            folder: For keys and configuration.
            environment: Of what is run on the server.
            delay: Seconds that a byte takes, each way.
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
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # which sshd of root insists on
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
        self.line = SlowLine(port, delay)
        (folder / "ssh_config").write_text(
            f"Host {self.HOST}\n HostName 127.0.0.1\n Port {self.line.port}\n"
            f" IdentityFile {folder}/user\n IdentitiesOnly yes\n StrictHostKeyChecking ask\n"
            f" UserKnownHostsFile {folder}/known_hosts\n GlobalKnownHostsFile /dev/null\n"
        )
        (folder / "bin").mkdir()
        ssh = folder / "bin" / "ssh"  # the user's own ssh, with a configuration of the test's
        ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
        ssh.chmod(0o755)
        self.path = f"{folder / 'bin'}:{os.environ['PATH']}"
        """The PATH on which this ssh is found."""

    @property
    def log(self) -> str:
        return (self._folder / "sshd.log").read_text()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self.line.close()
        self._log.close()

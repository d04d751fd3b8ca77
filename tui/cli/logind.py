"""Whether systemd's logind ends a detached engine when the user logs out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

TIMEOUT_S = 5
SYSTEMD = Path("/run/systemd/system")
CGROUP = Path("/proc/self/cgroup")


def logout_sentence(systemd: Path = SYSTEMD, cgroup: Path = CGROUP) -> str:
    """Return what ends a detached engine at logout and how to prevent it; empty if nothing does.

    logind ends the processes of a login session at logout if KillUserProcesses is set. At the last
    logout it also ends the user's service manager with all its services, unless lingering is
    enabled for the user.

    Args:
        systemd: A path that exists if systemd runs this machine.
        cgroup: The file with the control group of this process.
    """
    try:
        group = cgroup.read_text(encoding="utf-8", errors="replace") if systemd.exists() else ""
    except OSError:
        return ""
    in_session = "/session-" in group
    in_manager = f"/user@{os.getuid()}.service" in group
    if not (in_session or in_manager):
        return ""
    lingers = _output("loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value")
    if in_manager:
        if lingers != "no":
            return ""
        return (
            "At your last logout systemd ends your services, including a detached engine. "
            "loginctl enable-linger, once, keeps it running."
        )
    login = "org.freedesktop.login1"
    manager = f"/{login.replace('.', '/')}"
    kills = _output(
        "busctl", "get-property", login, manager, f"{login}.Manager", "KillUserProcesses"
    )
    if kills != "b true":
        return ""
    if lingers == "yes":
        remedy = "systemd-run --user --scope tl-tui keeps it running."
    else:
        remedy = (
            "loginctl enable-linger, once, and systemd-run --user --scope tl-tui keep it running."
        )
    return (
        "At logout logind ends all your processes (KillUserProcesses), including a detached "
        f"engine. {remedy}"
    )


def _output(*command: str) -> str:
    """Return what a command prints; empty if it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

"""What becomes of a detached engine at logout, where systemd's logind has a say in it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

PATIENCE_S = 5
SYSTEMD = Path("/run/systemd/system")
CGROUP = Path("/proc/self/cgroup")


def logout_sentence(systemd: Path = SYSTEMD, cgroup: Path = CGROUP) -> str:
    """What ends an engine at logout and what to do; empty if nothing does.

    logind ends a session's scope if it was told to (KillUserProcesses), and with the last session
    the user's own service manager and all in it, unless the user lingers.

    Args:
        systemd: There if systemd runs this machine.
        cgroup: Where this process is.
    """
    try:
        place = cgroup.read_text() if systemd.exists() else ""
    except OSError:
        return ""
    in_session = "/session-" in place
    in_manager = f"/user@{os.getuid()}.service" in place
    if not (in_session or in_manager):
        return ""
    lingers = _said("loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value")
    if in_manager:
        if lingers != "no":
            return ""
        return (
            "At the last logout systemd ends your services, a detached engine among them; "
            "loginctl enable-linger, once, keeps it going."
        )
    login = "org.freedesktop.login1"
    manager = f"/{login.replace('.', '/')}"
    kills = _said("busctl", "get-property", login, manager, f"{login}.Manager", "KillUserProcesses")
    if kills != "b true":
        return ""
    linger = "" if lingers == "yes" else "loginctl enable-linger, once, and "
    return (
        "At logout logind ends all you have started (KillUserProcesses), a detached engine too; "
        f"{linger}systemd-run --user --scope tl-tui keep it going."
    )


def _said(*command: str) -> str:
    """What a command prints; empty if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

"""Environments of the peers, made when they are first needed and kept in a cache folder.

An environment sees the packages of the running one (a `.pth` file names their folder, as
`--system-site-packages` does for a system's Python), so that torch is there once; a constraints
file keeps pip from taking another. What pip installs comes before on the import path.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

INSTALL_S = 600
"""How long an installation may take."""
KEPT = ("torch", "torchvision", "triton", "numpy", "pillow")
"""Packages of which a peer has to take the version that is here."""


class NotHad(Exception):
    """Something to be measured beside cannot be had; the text is a sentence that says why."""


def running() -> str:
    """The environment that this process runs in, in a word that fits a folder's name."""
    versions = [metadata.version(name) for name in ("torch", "textual")]
    return "-".join([f"python{sys.version_info[0]}.{sys.version_info[1]}", *versions])


def python_with(folder: Path, name: str, *requirements: str) -> str:
    """The interpreter of an environment that has these packages; made if it is not there.

    Args:
        folder: Where environments are kept.
        name: Of the environment.
        requirements: As pip takes them.

    Raises:
        NotHad: pip cannot install them beside the torch that is here.
    """
    place = folder / running() / name
    python = place / "bin" / "python"
    done = place / "installed.json"
    if done.exists() and json.loads(done.read_text()) == list(requirements):
        return os.fspath(python)
    print(f"… installing {', '.join(requirements)} into {place}", file=sys.stderr, flush=True)
    try:
        venv.create(place, clear=True, with_pip=True, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotHad(f"an environment for {name} cannot be made in {place}: {error}.") from error
    inside = Path(sysconfig.get_path("purelib", vars={"base": os.fspath(place)}))
    (inside / "running-environment.pth").write_text(sysconfig.get_path("purelib") + "\n")
    constraints = place / "constraints.txt"
    pinned = [f"{package}=={_version(package)}" for package in KEPT if _version(package)]
    constraints.write_text("\n".join(pinned) + "\n")
    command = [os.fspath(python), "-m", "pip", "install", "-q", "-c", os.fspath(constraints)]
    try:
        pip = subprocess.run(
            [*command, *requirements], capture_output=True, text=True, timeout=INSTALL_S
        )
    except subprocess.TimeoutExpired as error:
        raise NotHad(f"installing {name} took longer than {INSTALL_S} s.") from error
    if pip.returncode:
        raise NotHad(f"pip cannot install {name} here: {_reason(pip.stderr)}.")
    done.write_text(json.dumps(requirements))
    return os.fspath(python)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _reason(stderr: str) -> str:
    """What pip says was wrong, in a line."""
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if "ERROR" in line]
    return (errors[0] if errors else stderr.strip() or "it did not say why")[:200].rstrip(".")

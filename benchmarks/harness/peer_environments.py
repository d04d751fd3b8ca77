"""Virtual environments for the peers, created when first needed and kept in a cache folder.

A `.pth` file makes the packages of the running environment importable (as `--system-site-packages`
does for the system's Python), so torch is not installed again. A constraints file keeps pip from
installing another version of it. Packages that pip installs take precedence on the import path.
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
"""The timeout of an installation in seconds."""
PINNED = ("torch", "torchvision", "triton", "numpy", "pillow")
"""The packages that a peer must use in the running environment's version."""


class PeerUnavailable(Exception):
    """Raised when a peer cannot be measured; the message is a sentence that says why."""


def environment_name() -> str:
    """Return a name for the running environment that is valid as a folder name."""
    versions = [metadata.version(name) for name in ("torch", "textual")]
    return "-".join([f"python{sys.version_info[0]}.{sys.version_info[1]}", *versions])


def python_with(folder: Path, name: str, *requirements: str) -> str:
    """Return the interpreter of an environment with these packages, creating it if necessary.

    Args:
        folder: The folder that holds the environments.
        name: The name of the environment.
        requirements: Requirement specifiers for pip.

    Raises:
        PeerUnavailable: The packages cannot be installed together with the running torch.
    """
    environment = folder / environment_name() / name
    python = environment / "bin" / "python"
    done = environment / "installed.json"
    if done.exists() and json.loads(done.read_text()) == list(requirements):
        return os.fspath(python)
    print(f"installing {', '.join(requirements)} into {environment}", file=sys.stderr, flush=True)
    try:
        venv.create(environment, clear=True, with_pip=True, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PeerUnavailable(
            f"the environment {environment} for {name} cannot be created: {error}."
        ) from error
    packages = Path(sysconfig.get_path("purelib", vars={"base": os.fspath(environment)}))
    (packages / "running-environment.pth").write_text(sysconfig.get_path("purelib") + "\n")
    constraints = environment / "constraints.txt"
    pinned = [f"{package}=={_version(package)}" for package in PINNED if _version(package)]
    constraints.write_text("\n".join(pinned) + "\n")
    command = [os.fspath(python), "-m", "pip", "install", "-q", "-c", os.fspath(constraints)]
    try:
        pip = subprocess.run(
            [*command, *requirements], capture_output=True, text=True, timeout=INSTALL_S
        )
    except subprocess.TimeoutExpired as error:
        raise PeerUnavailable(f"installing {name} took longer than {INSTALL_S} s.") from error
    if pip.returncode:
        raise PeerUnavailable(f"pip cannot install {name}: {_reason(pip.stderr)}.")
    done.write_text(json.dumps(requirements))
    return os.fspath(python)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _reason(stderr: str) -> str:
    """Return the first error in pip's output."""
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if "ERROR" in line]
    return (errors[0] if errors else stderr.strip() or "no reason was given")[:200].rstrip(".")

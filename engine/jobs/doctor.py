"""What torch offers on this machine, found out by using it. Run in a process of its own.

A wrong pair of torch and torchvision can crash at import, a driver can hang: `tl-tui doctor` reads
what this prints, and if nothing comes, that is the finding.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from glob import glob
from importlib import metadata
from typing import Any

from engine.hardware.devices import why_unusable
from tl_tui.common import json_codec


def main() -> int:
    """Print one JSON object: facts, and `problems`, each a sentence. Returns the exit code."""
    out = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is not the answer
    findings = examine()
    os.write(out, json_codec.dumps(findings).encode() + b"\n")
    return 0


def examine() -> dict[str, Any]:
    """Everything about torch on this machine; a part that fails is a problem and no exception."""
    problems: list[str] = []
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "nvidia": _nvidia(),
        "problems": problems,
    }
    found["torch"] = _torch(problems)
    found["torchvision"] = _torchvision(problems) if found["torch"] else None
    if found["torch"] and found["torchvision"]:
        found["device"] = _device(found["nvidia"], problems)
        found["weights"] = _weights(problems)
    return found


def _torch(problems: list[str]) -> dict[str, Any] | None:
    try:
        import torch
    except Exception as error:  # whatever a broken installation raises
        problems.append(f"torch cannot be imported: {_first_line(error)}. Install it anew.")
        return None
    return {"version": str(torch.__version__), "cuda": torch.version.cuda}


def _torchvision(problems: list[str]) -> dict[str, Any] | None:
    """Whether the pair fits is seen by running a compiled operator of torchvision's."""
    import torch

    versions = f"torchvision {_version('torchvision')} and torch {torch.__version__}"
    try:
        from torchvision.ops import nms

        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 6.0, 6.0]])
        kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
        if kept != [0, 2]:
            raise RuntimeError(f"nms kept {kept} of three boxes")
    except Exception as error:  # "operator torchvision::nms does not exist", and others
        problems.append(
            f"{versions} do not fit ({_first_line(error)}). Install a pair that does, both from "
            "the same index: torchvision 0.29 goes with torch 2.14, 0.26 with 2.11."
        )
        return None
    return {"version": _version("torchvision"), "fits": True}


def _nvidia() -> dict[str, Any]:
    """What of an NVIDIA driver and its devices can be seen without torch."""
    driver = None
    try:
        with open("/proc/driver/nvidia/version") as file:
            if match := re.search(r"\b(\d{3}\.\d+(?:\.\d+)?)\b", file.read()):
                driver = match[1]
    except OSError:
        pass
    names: list[str] = []
    if smi := shutil.which("nvidia-smi"):
        query = [smi, "--query-gpu=name,driver_version", "--format=csv,noheader"]
        try:
            said = subprocess.run(query, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.SubprocessError):
            said = None
        if said is not None and said.returncode == 0:
            rows = [line.split(", ") for line in said.stdout.splitlines() if line.strip()]
            names = [row[0] for row in rows]
            driver = driver or (rows[0][-1] if rows else None)
    nodes = glob("/dev/nvidia[0-9]*")
    return {"present": bool(driver or names or nodes), "driver": driver, "names": names}


def _device(nvidia: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    import torch

    from engine.hardware.devices import choose_device
    from tl_tui.common.errors import Problem

    try:
        chosen = choose_device("auto")
        label, warning = chosen.label, chosen.warning
    except Problem as problem:
        label, warning = "cpu", str(problem)
    cuda = [_kernel(number) for number in range(torch.cuda.device_count())]
    for device in cuda:
        if device["problem"]:
            problems.append(f"No kernel runs on {device['name']}: {device['problem']}.")
    if nvidia["present"] and not any(not device["problem"] for device in cuda):
        problems.append(why_unusable(nvidia["driver"], torch.version.cuda, torch.__version__))
    return {"chosen": label, "warning": warning, "cuda": cuda}


def _kernel(number: int) -> dict[str, Any]:
    """One CUDA device, after a kernel has run on it."""
    import torch

    found: dict[str, Any] = {"name": f"cuda:{number}", "free": None, "total": None, "problem": ""}
    try:
        found["name"] = f"cuda:{number} {torch.cuda.get_device_name(number)}"
        if float(torch.ones(8, device=f"cuda:{number}").sum()) != 8.0:
            raise RuntimeError("a sum of eight ones came out wrong")
        found["free"], found["total"] = torch.cuda.mem_get_info(number)
    except Exception as error:  # torch raises several kinds, by what is broken
        found["problem"] = _first_line(error)
    return found


def _weights(problems: list[str]) -> dict[str, Any]:
    """torchvision's weights files that are in its cache, and whether they are whole."""
    import torchvision

    from engine.model.weights_download import cached_path, verify, weights_file_of

    files: dict[str, dict[str, Any]] = {}
    for arch in torchvision.models.list_models(module=torchvision.models):
        for entry in torchvision.models.get_model_weights(arch):
            file = weights_file_of(entry)
            path = cached_path(file.name)
            if file.name in files or not path.is_file():
                continue
            whole = verify(path, file.hash_prefix)
            files[file.name] = {
                "arch": arch,
                "entry": entry.name,
                "file": file.name,
                "whole": whole,
            }
            if not whole:
                problems.append(
                    f"{path} is damaged: its hash is not the one in its name; "
                    f"tl-tui fetch {arch} {entry.name} replaces it."
                )
    return {"folder": str(cached_path("")), "files": list(files.values())}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")

"""Checks torch, the GPUs and the weights cache by using them, for `tl-tui doctor`.

It runs in a separate process, because incompatible versions of torch and torchvision can crash at
import and a driver can hang. `tl-tui doctor` reads its output and reports if there is none.
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
    """Print the findings as one JSON object. Returns the exit code."""
    out = os.dup(1)
    os.dup2(2, 1)  # libraries may print; only the JSON goes to standard output
    findings = examine()
    os.write(out, json_codec.dumps(findings).encode() + b"\n")
    return 0


def examine() -> dict[str, Any]:
    """Check everything that tl-tui needs of torch on this machine.

    Returns:
        The findings by name. `problems` is a list with a sentence for each failed check.
    """
    problems: list[str] = []
    findings: dict[str, Any] = {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "nvidia": _nvidia(),
        "problems": problems,
    }
    findings["torch"] = _torch(problems)
    findings["torchvision"] = _torchvision(problems) if findings["torch"] else None
    if findings["torch"] and findings["torchvision"]:
        findings["device"] = _device(findings["nvidia"], problems)
        findings["weights"] = _weights(problems)
    return findings


def _torch(problems: list[str]) -> dict[str, Any] | None:
    try:
        import torch
    except Exception as error:  # a broken installation can raise anything
        problems.append(f"torch cannot be imported: {_first_line(error)}. Reinstall it.")
        return None
    return {"version": str(torch.__version__), "cuda": torch.version.cuda}


def _torchvision(problems: list[str]) -> dict[str, Any] | None:
    """Check that torchvision is compatible with torch by running one of its compiled operators."""
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
            f"{versions} are not compatible ({_first_line(error)}). Install matching versions from "
            "the same index, such as torchvision 0.29 with torch 2.14, or 0.26 with 2.11."
        )
        return None
    return {"version": _version("torchvision"), "fits": True}


def _nvidia() -> dict[str, Any]:
    """Return the NVIDIA driver and devices that are found without torch."""
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
            result = subprocess.run(
                query, capture_output=True, encoding="utf-8", errors="replace", timeout=20
            )
        except (OSError, subprocess.SubprocessError):
            result = None
        if result is not None and result.returncode == 0:
            rows = [line.split(", ") for line in result.stdout.splitlines() if line.strip()]
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
    cuda = [_cuda_device(index) for index in range(torch.cuda.device_count())]
    for device in cuda:
        if device["problem"]:
            problems.append(f"No kernel runs on {device['name']}: {device['problem']}.")
    if nvidia["present"] and not any(not device["problem"] for device in cuda):
        problems.append(why_unusable(nvidia["driver"], torch.version.cuda, torch.__version__))
    return {"chosen": label, "warning": warning, "cuda": cuda}


def _cuda_device(index: int) -> dict[str, Any]:
    """Run a kernel on a CUDA device; return its name and memory, or the problem."""
    import torch

    device: dict[str, Any] = {"name": f"cuda:{index}", "free": None, "total": None, "problem": ""}
    try:
        device["name"] = f"cuda:{index} {torch.cuda.get_device_name(index)}"
        if float(torch.ones(8, device=f"cuda:{index}").sum()) != 8.0:
            raise RuntimeError("a sum of eight ones came out wrong")
        device["free"], device["total"] = torch.cuda.mem_get_info(index)
    except Exception as error:  # the type depends on what is broken
        device["problem"] = _first_line(error)
    return device


def _weights(problems: list[str]) -> dict[str, Any]:
    """Verify the hash of every torchvision weights file in the cache."""
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
                    f"{path} is damaged: its hash differs from the one in its name. "
                    f"Replace it with tl-tui fetch {arch} {entry.name}."
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

"""Choose the device to train on. A CUDA device is chosen only after a kernel has run on it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from tl_tui.common.errors import Problem
from tl_tui.protocol.config import Precision

CUDA_13_DRIVER = 580
"""The oldest driver for CUDA 13, which torch's default wheels are built for since torch 2.11."""
CUDA_12_DRIVER = 525
"""The oldest driver for CUDA 12."""


class DeviceProblem(Problem):
    """The requested device cannot be used. The message says why and what to do."""


@dataclass(frozen=True)
class ChosenDevice:
    """The device that a run uses."""

    device: torch.device
    label: str
    """The device's name, such as `cuda:0 NVIDIA H200` or `cpu`."""
    warning: str = ""
    """Why an NVIDIA GPU in this machine is not used; empty if there is none or it is used."""
    memory_total: int | None = None
    """The device's memory in bytes; None except on CUDA."""

    @property
    def accelerator(self) -> bool:
        """Whether the device is anything other than the CPU."""
        return self.device.type != "cpu"

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions that the device supports natively: fp32, and bf16 where available."""
        if self.device.type == "cuda":
            has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        elif self.device.type == "cpu":
            has_bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
        else:
            has_bf16 = False
        return ("fp32", "bf16") if has_bf16 else ("fp32",)


def choose_device(requested: str) -> ChosenDevice:
    """Return the device to use.

    Args:
        requested: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`. `auto` chooses the CUDA device with
            the most free memory, else mps, else the CPU. The result carries a warning if the
            machine has an NVIDIA GPU that torch cannot use.

    Raises:
        DeviceProblem: The device does not exist, or no kernel runs on it.
    """
    if requested == "cpu":
        return ChosenDevice(torch.device("cpu"), "cpu")
    if requested == "mps" or (
        requested == "auto" and _mps_available() and not torch.cuda.is_available()
    ):
        if not _mps_available():
            raise DeviceProblem("--device mps: this torch has no Metal backend; use --device cpu.")
        return ChosenDevice(torch.device("mps"), "mps")
    if requested == "auto":
        try:
            return _choose_cuda(None)
        except DeviceProblem as problem:
            warning = str(problem) if nvidia_driver() is not None else ""
            return ChosenDevice(torch.device("cpu"), "cpu", warning)
    if match := re.fullmatch(r"cuda(?::(\d+))?", requested):
        return _choose_cuda(int(match[1]) if match[1] else None)
    raise DeviceProblem(f"--device {requested}: choose auto, cpu, cuda, cuda:N or mps.")


def _mps_available() -> bool:
    return torch.backends.mps.is_available()


def _choose_cuda(index: int | None) -> ChosenDevice:
    """Return a CUDA device: this one, or the one with the most free memory if None."""
    if not torch.cuda.is_available():
        raise DeviceProblem(_why_no_cuda())
    count = torch.cuda.device_count()
    if index is not None and index >= count:
        raise DeviceProblem(
            f"--device cuda:{index}: no such GPU; this machine has {count} "
            f"(cuda:0 to cuda:{count - 1})."
        )
    candidates = range(count) if index is None else [index]
    try:
        best = max(candidates, key=lambda number: torch.cuda.mem_get_info(number)[0])
        device = torch.device("cuda", best)
        if float(torch.ones(8, device=device).sum()) != 8.0:
            raise RuntimeError("the sum of eight ones is not 8")
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise DeviceProblem(
            f"CUDA is available, but no kernel runs on the GPU ({reason}). "
            "Run `tl-tui doctor` for details, or use --device cpu."
        ) from error
    name = torch.cuda.get_device_name(best)
    total = torch.cuda.get_device_properties(best).total_memory
    return ChosenDevice(device, f"cuda:{best} {name}", memory_total=total)


def nvidia_driver() -> str | None:
    """Return the version of the loaded NVIDIA driver, or None if no driver is loaded.

    The driver may be one that torch cannot use.
    """
    version_file = Path("/proc/driver/nvidia/version")
    try:
        match = re.search(r"(\d{3}\.\d+(?:\.\d+)?)", version_file.read_text())
    except OSError:
        return None
    return match[1] if match else "unknown"


def _why_no_cuda() -> str:
    driver = nvidia_driver()
    if driver is None:
        return "--device cuda: this machine has no NVIDIA GPU; use --device cpu."
    unusable = why_unusable(driver, torch.version.cuda, torch.__version__)
    return f"{unusable} To use the CPU, pass --device cpu."


def why_unusable(driver: str | None, built_for: str | None, version: str) -> str:
    """Return why torch cannot use this machine's NVIDIA GPU, and what to install instead.

    Args:
        driver: Version of the NVIDIA driver, if known.
        built_for: Version of CUDA that torch was built for; None for a build without CUDA.
        version: Version of torch.
    """
    present = f"An NVIDIA GPU is present (driver {driver or 'unknown'})"
    if built_for is None:
        return (
            f"{present}, but torch {version} was built without CUDA. Install a CUDA build: "
            "pip install --force-reinstall torch torchvision."
        )
    major = int(built_for.split(".")[0])
    needed = CUDA_13_DRIVER if major >= 13 else CUDA_12_DRIVER
    number = int(driver.split(".")[0]) if driver and driver.split(".")[0].isdigit() else None
    if number is not None and number < needed:
        return (
            f"{present}, but torch {version} is built for CUDA {built_for}, which needs driver "
            f"{needed} or newer. Update the driver, or install a build for CUDA 12 (driver "
            f"{CUDA_12_DRIVER} or newer): pip install --force-reinstall torch torchvision, with "
            "the --index-url that PyTorch's installation page gives for cu126."
        )
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return (
        f"{present}, but torch {version} (CUDA {built_for}) cannot use it. Check that "
        f"CUDA_VISIBLE_DEVICES={visible} includes it, that nvidia-smi lists it and that the "
        "container was started with GPU access; a V100 or older GPU needs a build for CUDA 12 "
        "(cu126 on PyTorch's installation page)."
    )

"""Which device to train on. CUDA is taken only after a kernel has really run on it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from tl_tui.common.errors import Problem
from tl_tui.protocol.config import Precision


class DeviceProblem(Problem):
    """The device asked for cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class ChosenDevice:
    device: torch.device
    label: str
    """Such as `cuda:0 NVIDIA H200` or `cpu`."""
    warning: str = ""
    """An NVIDIA GPU is there and torch cannot use it; shown all the time."""
    memory_total: int | None = None

    @property
    def accelerator(self) -> bool:
        return self.device.type != "cpu"

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """What the device computes in itself: fp32, and bf16 where it has instructions for it."""
        if self.device.type == "cuda":
            has = torch.cuda.is_bf16_supported(including_emulation=False)
        elif self.device.type == "cpu":
            has = torch.ops.mkldnn._is_mkldnn_bf16_supported()
        else:
            has = False
        return ("fp32", "bf16") if has else ("fp32",)


def choose_device(asked: str) -> ChosenDevice:
    """The device for auto, cpu, cuda, cuda:N or mps.

    auto takes the CUDA device with most free memory, else mps, else the CPU; with a warning if an
    NVIDIA GPU is there that torch cannot use.

    Raises:
        DeviceProblem: no such device, or no kernel ran on it.
    """
    if asked == "cpu":
        return ChosenDevice(torch.device("cpu"), "cpu")
    if asked == "mps" or (asked == "auto" and _mps() and not torch.cuda.is_available()):
        if not _mps():
            raise DeviceProblem("--device mps: this torch has no Metal backend; use --device cpu.")
        return ChosenDevice(torch.device("mps"), "mps")
    if asked == "auto":
        try:
            return _cuda(None)
        except DeviceProblem as problem:
            warning = str(problem) if nvidia_driver() is not None else ""
            return ChosenDevice(torch.device("cpu"), "cpu", warning)
    if match := re.fullmatch(r"cuda(?::(\d+))?", asked):
        return _cuda(int(match[1]) if match[1] else None)
    raise DeviceProblem(f"--device {asked}: choose auto, cpu, cuda, cuda:N or mps.")


def _mps() -> bool:
    return torch.backends.mps.is_available()


def _cuda(index: int | None) -> ChosenDevice:
    if not torch.cuda.is_available():
        raise DeviceProblem(_why_no_cuda())
    count = torch.cuda.device_count()
    if index is not None and index >= count:
        raise DeviceProblem(f"--device cuda:{index}: there are {count} (cuda:0 to {count - 1}).")
    candidates = range(count) if index is None else [index]
    try:
        best = max(candidates, key=lambda number: torch.cuda.mem_get_info(number)[0])
        device = torch.device("cuda", best)
        if float(torch.ones(8, device=device).sum()) != 8.0:
            raise RuntimeError("a sum of eight ones came out wrong")
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise DeviceProblem(
            f"CUDA is there but no kernel runs on it ({reason}); see `tl-tui doctor`, "
            "or insist on --device cpu."
        ) from error
    name = torch.cuda.get_device_name(best)
    total = torch.cuda.get_device_properties(best).total_memory
    return ChosenDevice(device, f"cuda:{best} {name}", memory_total=total)


def nvidia_driver() -> str | None:
    """The NVIDIA driver's version if its kernel module is loaded, usable by torch or not."""
    version = Path("/proc/driver/nvidia/version")
    try:
        match = re.search(r"(\d{3}\.\d+(?:\.\d+)?)", version.read_text())
    except OSError:
        return None
    return match[1] if match else "unknown"


def _why_no_cuda() -> str:
    driver = nvidia_driver()
    if driver is None:
        return "--device cuda: no NVIDIA GPU is to be seen here; use --device cpu."
    return f"{why_unusable(driver, torch.version.cuda, torch.__version__)} --device cpu insists."


def why_unusable(driver: str | None, built_for: str | None, version: str) -> str:
    """Why an NVIDIA GPU that is here cannot be used, and the way to install what can use it."""
    here = f"An NVIDIA GPU is here (driver {driver or 'unknown'})"
    if built_for is None:
        return (
            f"{here}, but torch {version} was built without CUDA; pip install --force-reinstall "
            "torch torchvision, which brings a CUDA build."
        )
    major = int(built_for.split(".")[0])
    needed = CUDA_13_DRIVER if major >= 13 else CUDA_12_DRIVER
    number = int(driver.split(".")[0]) if driver and driver.split(".")[0].isdigit() else None
    if number is not None and number < needed:
        return (
            f"{here}, but torch {version} is built for CUDA {built_for}, which needs driver "
            f"{needed} or newer. Update the driver, or install a build for CUDA 12 (driver "
            f"{CUDA_12_DRIVER} or newer): pip install --force-reinstall torch torchvision, with "
            "the --index-url that PyTorch's installation page gives for cu126."
        )
    return (
        f"{here}, but torch {version} (CUDA {built_for}) cannot use it. Is it visible "
        f"(CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', '')}), does nvidia-smi "
        "show it, and was the container started with its devices? A V100 or older needs a build "
        "for CUDA 12, cu126 on PyTorch's installation page."
    )


CUDA_13_DRIVER = 580
"""The oldest driver of CUDA 13, which torch's default wheels are built for from 2.11 on."""


CUDA_12_DRIVER = 525
